"""The arms of a rollout: what each does, and that each gets its share."""

import math
from collections import Counter
from collections.abc import Iterator

import pytest

from decisionlog import Decision
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from tests.server.service import Service, request, running
from tests.shop import CATALOG, TRAFFIC, register_chain

SUBJECTS = 3000
SHARES = {
    common.ARM_CHAMPION: 0.4,
    common.ARM_HOLDOUT: 0.1,
    common.ARM_RANDOM: 0.2,
    common.ARM_BASELINE: 0.3,
}

Answers = list[tuple[decision_api.DecideResponse, Decision]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with every arm but the canary, and a chain for champion."""
    directory = tmp_path_factory.mktemp("arms")
    with running(directory / "data", CATALOG + TRAFFIC) as found:
        found.promote(register_chain(found.registry))
        yield found


@pytest.fixture(scope="module")
def answers(service: Service) -> Answers:
    """Every subject's answer with its record; request ids make the draws the same in every run."""
    found: Answers = []
    for start in range(0, SUBJECTS, 1000):
        asked = [request(f"s{n}", request_id=f"r{n}") for n in range(start, start + 1000)]
        batch = service.decisions.BatchDecide(decision_api.BatchDecideRequest(requests=asked))
        found += [
            (result.response, service.record(result.response.decision_id))
            for result in batch.results
        ]
    return found


def of_arm(answers: Answers, arm: int) -> Answers:
    """The answers that one arm gave."""
    return [pair for pair in answers if pair[0].arm == arm]


def assert_even(counts: Counter[object], kinds: int) -> None:
    """All kinds came about as often as each other, within five standard errors."""
    total = counts.total()
    assert len(counts) == kinds
    for count in counts.values():
        spread = math.sqrt(total / kinds * (1 - 1 / kinds))
        assert abs(count - total / kinds) < 5 * spread


@pytest.mark.parametrize("arm", SHARES)
def test_every_arm_gets_its_share(answers: Answers, arm: int) -> None:
    """The shares hold within five standard errors."""
    share = SHARES[arm]  # type: ignore[index]
    spread = math.sqrt(SUBJECTS * share * (1 - share))
    assert abs(len(of_arm(answers, arm)) - SUBJECTS * share) < 5 * spread


def test_the_holdout_gets_nothing(answers: Answers) -> None:
    """No send with its reason and probability 1; there was no choice, but the tree is logged."""
    found = of_arm(answers, common.ARM_HOLDOUT)
    assert found
    for response, record in found:
        assert response.no_send.reason == common.NO_SEND_REASON_HOLDOUT
        assert response.action_probability == 1.0
        assert response.policy_version == record.policy_version == "holdout"
        assert record.stages == ()
        assert [offer for offer, _ in record.tree] == ["spring", "loyal", "no_send"]


def test_the_baseline_follows_the_rule(answers: Answers) -> None:
    """Offer and channel are the rule's, with certainty; the send time is drawn evenly."""
    found = of_arm(answers, common.ARM_BASELINE)
    for response, record in found:
        assert (response.send.offer, response.send.channel) == ("spring", "push")
        assert response.policy_version == "fixed/spring/push"
        stages = response.stage_probabilities
        assert (stages.offer, stages.channel, stages.send_time) == (1.0, 1.0, 0.25)
        assert record.stages[2].pmf == (0.25,) * 4
    assert_even(Counter(response.send.send_time.seconds for response, _ in found), 4)


def test_a_rule_that_is_not_eligible_gives_way(service: Service, answers: Answers) -> None:
    """The baseline never makes up what another rule forbids: it draws evenly instead."""
    number = next(n for n, (found, _) in enumerate(answers) if found.arm == common.ARM_BASELINE)
    response = service.decide(f"s{number}", excluded_channels=["push"])
    assert response.arm == common.ARM_BASELINE
    assert service.record(response.decision_id).stages[1].pmf == (1.0,)
    assert response.send.channel in {"email", ""}


def test_the_random_arm_is_uniform(answers: Answers) -> None:
    """Every stage's pmf is even, and so are the choices."""
    found = of_arm(answers, common.ARM_RANDOM)
    for response, record in found:
        assert response.policy_version == "uniform"
        for stage in record.stages:
            assert stage.pmf == (1 / len(stage.pmf),) * len(stage.pmf)
    assert_even(Counter(record.stages[0].chosen for _, record in found), 3)


def test_the_champion_is_the_promoted_policy(service: Service, answers: Answers) -> None:
    """It answers the rest, and keeps support for every action."""
    champion = service.releases.present().champion
    for response, record in of_arm(answers, common.ARM_CHAMPION):
        assert response.policy_version == champion
        assert all(probability > 0 for stage in record.stages for probability in stage.pmf)
        assert 0 < response.action_probability <= 1


def test_a_subject_stays_in_its_arm(service: Service, answers: Answers) -> None:
    """However often a subject is asked for, the same arm answers."""
    for number, (response, _) in enumerate(answers[:50]):
        assert service.decide(f"s{number}").arm == response.arm
