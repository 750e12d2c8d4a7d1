"""The gate: what is clearly better passes; luck, worse policies and bad overlap do not."""

from collections.abc import Iterator

import pytest

from policy.policies import Fixed, Uniform
from replay.gate import gate
from replay.log_evaluation import Target
from replay.train import train
from tests.replay.history import LATER_MS, History, at, history
from tests.replay.worlds import WORLD, live


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a world with a planted preference, decided uniformly."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        live(past, 800)
        yield past


def test_a_clearly_better_policy_passes(lived: History) -> None:
    """A trained one, judged on what it has not learned from; the prediction covers the truth."""
    source = lived.source()
    manifest = train(
        source.interactions(), source.catalog, lived.registry, at(LATER_MS), held_out_share=0.5
    ).manifest
    found = gate(source.interactions, source.target(manifest.version), Target("uniform", Uniform()))
    assert found.passed
    assert found.reasons == ()
    assert 300 < found.n < 500
    assert found.difference is not None
    assert found.predicted is not None
    assert found.difference.interval[0] > 0
    low, high = found.predicted.interval
    assert low < 0.8 and high > 0.7  # noqa: PT018 - one interval


def test_luck_does_not_pass(lived: History) -> None:
    """Both offers earn the same on average: whatever the log shows is within its interval."""
    found = gate(
        lived.source().interactions,
        Target("spring", Fixed("spring")),
        Target("loyal", Fixed("loyal")),
    )
    assert not found.passed
    (reason,) = found.reasons
    assert reason.startswith("the difference may be luck: its interval, from -")


def test_a_policy_is_not_better_than_itself(lived: History) -> None:
    """A difference of exactly nothing is not above nothing."""
    found = gate(
        lived.source().interactions, Target("uniform", Uniform()), Target("uniform", Uniform())
    )
    assert found.difference is not None
    assert found.difference.value == 0.0
    assert not found.passed


def test_a_worse_policy_does_not_pass(lived: History) -> None:
    """One that is worse beyond luck is called so."""
    source = lived.source()
    manifest = train(
        source.interactions(), source.catalog, lived.registry, at(LATER_MS), held_out_share=0.5
    ).manifest
    better = source.target(manifest.version)
    found = gate(source.interactions, Target("uniform", Uniform(), better.is_fresh), better)
    assert found.difference is not None
    assert found.difference.interval[1] < 0
    assert not found.passed
    assert found.reasons[0].startswith("it is worse: the whole interval of the difference, from -")


def test_bad_overlap_does_not_pass(past: History) -> None:
    """Where one of hundreds of choices carries all the weight, its luck is no evidence."""
    past.promote("fixed/loyal")
    for _ in range(200):
        past.deliver(past.decide(eligible_offers=("spring", "loyal")))
    past.promote("uniform")
    for turn in range(8):
        decision = past.decide(eligible_offers=("spring", "loyal"), request_id=str(turn))
        past.deliver(decision)
        past.reward(decision)
    found = gate(
        past.source().interactions,
        Target("spring", Fixed("spring")),
        Target("loyal", Fixed("loyal")),
    )
    assert not found.passed
    assert any("effective sample size" in reason for reason in found.reasons)
    assert found.predicted is None


def test_a_champion_that_the_log_hardly_holds_cannot_be_beaten(past: History) -> None:
    """A handful of its choices that earned nothing is no evidence that the candidate earns more."""
    past.promote("uniform")
    for turn in range(70):
        decision = past.decide(eligible_offers=("spring", "loyal"), request_id=str(turn))
        past.deliver(decision)
        if decision.tree[decision.path[0]][0] == "loyal":
            past.reward(decision)
    candidate, champion = Target("loyal", Fixed("loyal")), Target("spring", Fixed("spring", "push"))
    found = gate(past.source().interactions, candidate, champion)
    assert found.difference is not None
    assert found.difference.interval[0] > 0
    assert not found.passed
    assert any("of the champion, the effective" in reason for reason in found.reasons)


def test_no_overlap_does_not_pass(past: History) -> None:
    """Without a choice that both could make there is no comparison at all."""
    past.promote("fixed/loyal")
    for _ in range(50):
        past.deliver(past.decide(eligible_offers=("spring", "loyal")))
    found = gate(
        past.source().interactions, Target("spring", Fixed("spring")), Target("uniform", Uniform())
    )
    assert (found.difference, found.predicted) == (None, None)
    assert found.reasons[0].startswith("the log allows no comparison")


def test_an_empty_log_lets_nobody_pass(past: History) -> None:
    """No interactions, no evidence."""
    found = gate(
        past.source().interactions, Target("spring", Fixed("spring")), Target("uniform", Uniform())
    )
    assert not found.passed
    assert found.n == 0
