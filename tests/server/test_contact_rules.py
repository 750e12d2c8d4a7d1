"""Contact rules over a real socket: each with its reason, none exceeded by however many callers."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from decisionlog.operations import AGAIN_MAX
from policy.choice import choose
from policy.policies import FloatArray
from policy.request import Request
from policy.situation import Path as Choices
from policy.situation import Situation, situation_of
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import feedback_service_pb2 as feedback_api
from server.contacts import eligible_now
from tests.decisionlog.recount import reservations
from tests.server.rivals import Filling, Rival, meet
from tests.server.service import (
    KEYS,
    Service,
    category,
    delivery,
    number,
    refusal_of,
    refused,
    request,
    reward,
    running,
)
from tests.shop import START_MS

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SHOP = """\
schema = 1
name = "shop"
[channels.email]
consent = "marketing"
[channels.push]
[offers.spring]
channels = ["email", "push"]
[offers.loyal]
channels = ["email"]
[reward]
weights = { visit = 1.0 }
"""
CAP = "[[caps]]\nmessages = 1\ndays = 7\n"
CAP_OF_3 = "[[caps]]\nmessages = 3\ndays = 7\n"
QUIET = "[channels.sms]\nquiet_hours = { start = 10:00:00, end = 12:00:00 }\n"
Response = decision_api.DecideResponse


@contextmanager
def shop(tmp_path: Path, rules: str, *, windows: int = 1) -> Iterator[Service]:
    """A running service whose catalog has rules."""
    text = f"{SHOP}{rules}\n[send_times]\nwindows = {windows}\n"
    with running(tmp_path / "data", text) as service:
        yield service


def reasons(response: Response) -> set[tuple[str, str, str]]:
    """What was suppressed, and by which rule."""
    name = common.SuppressionReason.Name
    return {
        (one.offer, one.channel, name(one.reason).removeprefix("SUPPRESSION_REASON_"))
        for one in response.suppressions
    }


def report(service: Service, response: Response, status: int, **fields: object) -> None:
    """Says what became of a decision."""
    service.feedback.ReportDelivery(delivery(response.decision_id, status, **fields))


def respond(service: Service, response: Response, name: str) -> None:
    """Says what a customer did."""
    service.feedback.ReportReward(reward(response.decision_id, name=name, reward_id=name))


def is_sent(response: Response) -> bool:
    """Whether something is to be sent; if not, nothing must have been eligible."""
    if response.HasField("no_send"):
        assert response.no_send.reason == common.NO_SEND_REASON_NOTHING_ELIGIBLE
    return response.HasField("send")


ALL = {("spring", "", "NO_CHANNEL"), ("loyal", "", "NO_CHANNEL")}
REASONS: list[tuple[str, set[tuple[str, str, str]]]] = [
    (CAP, {("", "email", "CAP_REACHED"), ("", "push", "CAP_REACHED"), *ALL}),
    (f'{CAP}channel = "email"', {("", "email", "CAP_REACHED"), ("loyal", "", "NO_CHANNEL")}),
    (f'{CAP}offer = "loyal"', {("loyal", "", "CAP_REACHED")}),
    (
        f'{CAP}offer = "loyal"\nchannel = "email"',
        {("loyal", "email", "CAP_REACHED"), ("loyal", "", "NO_CHANNEL")},
    ),
    (
        "[contacts]\nminimum_gap_hours = 2",
        {("", "email", "MINIMUM_GAP"), ("", "push", "MINIMUM_GAP"), *ALL},
    ),
    (
        "[channels.email.budget]\nper_day = 1",
        {("", "email", "BUDGET_SPENT"), ("loyal", "", "NO_CHANNEL")},
    ),
    ("[offers.loyal.budget]\nper_day = 1", {("loyal", "", "BUDGET_SPENT")}),
    (
        '[exclusion_groups.one]\noffers = ["spring", "loyal"]\ndays = 1',
        {("spring", "", "EXCLUSION_GROUP")},
    ),
    (
        '[[cool_downs]]\nafter = "visit"\ndays = 1\nsame_offer = true',
        {("loyal", "", "COOL_DOWN")},
    ),
    (
        '[[cool_downs]]\nafter = "visit"\ndays = 1\nsame_channel = true',
        {("", "email", "COOL_DOWN"), ("loyal", "", "NO_CHANNEL")},
    ),
]


@pytest.mark.parametrize(("rules", "expected"), REASONS)
def test_each_rule_holds_and_names_itself(
    tmp_path: Path, rules: str, expected: set[tuple[str, str, str]]
) -> None:
    """After the loyal offer was sent by e-mail, and led to a visit, the rule keeps back its own."""
    with shop(tmp_path, rules) as service:
        first = service.decide(eligible_offers=["loyal"], explain=True)
        assert (first.send.offer, first.send.channel) == ("loyal", "email")
        assert reasons(first) == {("spring", "", "CALLER")}
        respond(service, first, "visit")
        service.clock.now_ms += HOUR_MS
        second = service.decide(explain=True)
        assert reasons(second) == expected
        assert is_sent(second) == (not expected >= ALL)
        tree = {name for name, _ in service.record(second.decision_id).tree}
        assert tree == {"spring", "loyal"} - {
            offer for offer, channel, _ in expected if not channel
        }


@pytest.mark.parametrize("rules", [rules for rules, _ in REASONS if "budget" not in rules])
def test_rules_about_a_subject_leave_other_subjects_alone(tmp_path: Path, rules: str) -> None:
    """What one customer got and did keeps nothing from another."""
    with shop(tmp_path, rules) as service:
        respond(service, service.decide("alice", eligible_offers=["loyal"]), "visit")
        assert reasons(service.decide("bob", explain=True)) == set()


def test_a_budget_is_for_all_subjects_together_and_ends_with_its_day(tmp_path: Path) -> None:
    """Three a day go to whoever comes first; the next day has three more."""
    with shop(tmp_path, "[channels.email.budget]\nper_day = 3") as service:
        for _ in range(2):
            sent = [
                is_sent(service.decide(f"c{turn}", eligible_channels=["email"]))
                for turn in range(5)
            ]
            assert sent == [True, True, True, False, False]
            service.clock.now_ms += DAY_MS


def test_an_override_is_charged_to_what_was_really_sent(tmp_path: Path) -> None:
    """An offer with a budget that is sent in the place of one without uses it up."""
    with shop(tmp_path, "[offers.loyal.budget]\nper_day = 1") as service:
        decided = service.decide("c0", eligible_offers=["spring"])
        assert is_sent(service.decide("c1", eligible_offers=["spring"]))
        status = feedback_api.DELIVERY_STATUS_OVERRIDDEN
        report(service, decided, status, actual={"offer": "loyal", "channel": "email"})
        assert not is_sent(service.decide("c2", eligible_offers=["loyal"]))


@pytest.mark.parametrize(
    "rules", [CAP, "[contacts]\nminimum_gap_hours = 24", "[[caps]]\nmessages = 2\nhours = 1"]
)
def test_critical_bypasses_caps_and_gaps_and_is_audited(tmp_path: Path, rules: str) -> None:
    """Only what was really bypassed is in the audit trail; the message counts for later ones."""
    with shop(tmp_path, rules) as service:
        critical: dict[str, Any] = {"priority": common.PRIORITY_CRITICAL}
        first, second, third = (service.decide(**critical) for _ in range(3))
        assert all(map(is_sent, (first, second, third)))
        bypassed = {entry.decision_id: entry.bypassed for entry in service.log.audit_trail()}
        reason = "MINIMUM_GAP" if "gap" in rules else "CAP_REACHED"
        assert bypassed[service.record(third.decision_id).decision_id] == (reason,)
        assert service.record(first.decision_id).decision_id not in bypassed
        assert not is_sent(service.decide())


def test_critical_bypasses_quiet_hours_and_is_audited_without_any_other_rule(
    tmp_path: Path,
) -> None:
    """Also where a catalog has nothing to do with contacts; what was not quiet is not audited."""
    rules = f'{QUIET}[offers.alarm]\nchannels = ["sms"]'
    with shop(tmp_path, rules) as service:
        asked: dict[str, Any] = {"eligible_offers": ["alarm"], "priority": common.PRIORITY_CRITICAL}
        assert is_sent(service.decide(**asked))
        (entry,) = service.log.audit_trail()
        assert entry.bypassed == ("QUIET_HOURS",)
        service.clock.now_ms += 3 * HOUR_MS
        assert is_sent(service.decide(**asked))
        assert len(list(service.log.audit_trail())) == 1
        assert not is_sent(service.decide(eligible_channels=["email"], granted_consents=[]))


def test_critical_never_bypasses_consent_budgets_exclusion_and_cool_downs(tmp_path: Path) -> None:
    """Each of them keeps a critical message back like any other."""
    for number_, (rules, expected) in enumerate(REASONS):
        if {"CAP_REACHED", "MINIMUM_GAP"} & {reason for _, _, reason in expected}:
            continue
        with shop(tmp_path / str(number_), rules) as service:
            first = service.decide(eligible_offers=["loyal"])
            respond(service, first, "visit")
            critical = service.decide(priority=common.PRIORITY_CRITICAL, explain=True)
            assert reasons(critical) == expected
            closed = service.decide(
                "bob", priority=common.PRIORITY_CRITICAL, granted_consents=[], explain=True
            )
            assert ("", "email", "NO_CONSENT") in reasons(closed)


def test_64_callers_at_once_get_no_message_more_than_the_cap(tmp_path: Path) -> None:
    """One customer, a cap of three, 64 requests at the same time: exactly three sends."""
    with (
        shop(tmp_path, CAP_OF_3, windows=24) as service,
        ThreadPoolExecutor(64) as pool,
    ):
        answers = list(pool.map(lambda _: service.decide(), range(64)))
        assert sum(map(is_sent, answers)) == 3
        assert len(service.log.standing(KEYS.pseudonym("alice")).contacts) == 3
        assert service.log.counts().decisions == 64


def test_a_batch_for_one_subject_gets_no_message_more_than_the_cap(tmp_path: Path) -> None:
    """A thousand requests in one call are each held to what those before them reserved."""
    with shop(tmp_path, CAP_OF_3, windows=24) as service:
        batch = decision_api.BatchDecideRequest(requests=[request()] * 1000)
        results = service.decisions.BatchDecide(batch).results
        assert sum(is_sent(one.response) for one in results) == 3
        assert len({one.response.decision_id for one in results}) == 1000


def test_messages_are_spread_over_the_windows_that_rules_leave(tmp_path: Path) -> None:
    """A gap of three hours, four in a day: whatever is drawn, all sends of a batch keep to both."""
    rules = "[contacts]\nminimum_gap_hours = 3\n[[caps]]\nmessages = 4\nhours = 24"
    with shop(tmp_path, rules, windows=72) as service:
        batch = decision_api.BatchDecideRequest(requests=[request()] * 100)
        answers = [one.response for one in service.decisions.BatchDecide(batch).results]
        times = sorted(
            answer.send.send_time.ToMilliseconds() for answer in answers if is_sent(answer)
        )
        assert len(times) >= 6
        assert all(later - one >= 3 * HOUR_MS for one, later in pairwise(times))
        assert all(later - one >= DAY_MS for one, later in zip(times, times[4:], strict=False))
        assert_exact(service, answers)


class Eager:
    """Sends as soon as it may, nearly always."""

    version = "eager"

    def pmf(self, situation: Situation, path: Choices) -> FloatArray:
        """See `Policy`."""
        count = situation.count(path)
        return np.asarray([0.99, *[0.01 / (count - 1)] * (count - 1)])

    def values(self, situation: Situation, path: Choices) -> None:
        """Estimates nothing."""


def test_a_batch_that_wants_the_same_hours_of_a_budget_is_answered_in_full(tmp_path: Path) -> None:
    """Two messages an hour, and 48 hours: whoever is overtaken takes the next, however often."""
    rules = "".join(
        f'[channels.{one}.budget]\nper_day = 24\npacing = "even"\n' for one in ("email", "push")
    )
    with shop(tmp_path, rules, windows=48) as service:
        serving = replace(service.current(), policies=defaultdict(Eager))
        service.engine._serving = lambda: serving
        batch = decision_api.BatchDecideRequest(requests=[request(f"s{n}") for n in range(150)])
        results = service.decisions.BatchDecide(batch).results
        assert not [refusal_of(one.error) for one in results if one.HasField("error")]
        sent = Counter(
            (one.response.send.channel, one.response.send.send_time.ToMilliseconds() // HOUR_MS)
            for one in results
            if is_sent(one.response)
        )
        assert max(sent.values()) <= 24
        assert sent.total() > 60


def assert_exact(service: Service, answers: Sequence[Response]) -> None:
    """Every logged probability is that of a draw from the logged tree by the logged id."""
    catalog = service.current().catalog
    for answer in answers:
        record = service.record(answer.decision_id)
        if record.stages:
            policy = service.registry.policy(record.policy_version)
            seed = int.from_bytes(record.decision_id[8:], "big") & (1 << 62) - 1
            choice = choose(policy, situation_of(record, catalog), seed)
            assert choice.path == record.path
            assert answer.action_probability == choice.probability


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (feedback_api.DELIVERY_STATUS_SENT, False),
        (feedback_api.DELIVERY_STATUS_FAILED, True),
        (feedback_api.DELIVERY_STATUS_SUPPRESSED, True),
    ],
)
@pytest.mark.parametrize("rules", [CAP, "[channels.email.budget]\nper_day = 1"])
def test_a_message_that_was_not_sent_counts_no_more(
    tmp_path: Path, rules: str, status: int, *, expected: bool
) -> None:
    """A failed or suppressed delivery makes room again, in caps and in budgets."""
    with shop(tmp_path, rules) as service:
        first = service.decide(eligible_channels=["email"])
        report(service, first, status)
        assert is_sent(service.decide(eligible_channels=["email"])) == expected


def test_what_was_really_sent_counts(tmp_path: Path) -> None:
    """A decision for push that was sent by e-mail counts for the cap of e-mail."""
    with shop(tmp_path, f'{CAP}channel = "email"') as service:
        first = service.decide(eligible_channels=["push"])
        report(
            service,
            first,
            feedback_api.DELIVERY_STATUS_OVERRIDDEN,
            actual=common.Send(offer="loyal", channel="email"),
        )
        assert ("", "email", "CAP_REACHED") in reasons(service.decide(explain=True))


def test_what_was_never_confirmed_counts_for_as_long_as_the_catalog_says(tmp_path: Path) -> None:
    """Two hours after its send time a message without a report is none; a confirmed one stays."""
    with shop(tmp_path, f"{CAP}[contacts]\nconfirm_within_hours = 2") as service:
        first = service.decide()
        service.clock.now_ms += 2 * HOUR_MS - 1
        assert not is_sent(service.decide())
        service.clock.now_ms += 1
        assert is_sent(service.decide())
        report(service, first, feedback_api.DELIVERY_STATUS_SENT)
        service.clock.now_ms += 2 * HOUR_MS
        assert not is_sent(service.decide())


def test_history_is_logged_as_it_was_used(tmp_path: Path) -> None:
    """Messages, opens and their times are features of the next decision, beside the caller's."""
    with shop(tmp_path, '[history]\nopens = ["open"]\nconversions = ["order"]') as service:
        first = service.decide(eligible_offers=["loyal"], features={"plan": category("gold")})
        assert service.record(first.decision_id).features == {"plan": "gold"}
        for name in ("open", "visit"):
            respond(service, first, name)
        service.clock.now_ms += 2 * DAY_MS
        second = service.decide(features={"age": number(7.0)}, explain=True)
        assert service.record(second.decision_id).features == {
            "age": 7.0,
            "history.sends_7d.email": 1.0,
            "history.sends_30d.email": 1.0,
            "history.opens_7d.email": 1.0,
            "history.opens_30d.email": 1.0,
            "history.days_since_send": 2.0,
            "history.last_channel": "email",
        }
        assert_exact(service, [first, second])
        assert service.decide("bob").decision_id


def test_features_of_the_history_cannot_be_sent(service: Service) -> None:
    """A name that is kept for the service is refused, whatever the catalog has."""
    found = refused(lambda: service.decide(features={"history.sends_7d.email": number(9)}))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert found.metadata["field"] == "features[history.sends_7d.email]"


def test_a_repeat_is_explained_as_the_first_answer_was(tmp_path: Path) -> None:
    """What came after a decision is no reason for it."""
    rules = f'{CAP}offer = "loyal"\n[[cool_downs]]\nafter = "visit"\ndays = 1\nsame_channel = true'
    with shop(tmp_path, rules) as service:
        first = service.decide(eligible_offers=["loyal"])
        asked: dict[str, Any] = {
            "request_id": "one",
            "eligible_channels": ["email"],
            "explain": True,
        }
        answer = service.decide(**asked)
        assert reasons(answer) == {("", "push", "CALLER"), ("loyal", "", "CAP_REACHED")}
        service.clock.now_ms += HOUR_MS
        respond(service, first, "visit")
        service.decide(eligible_channels=["push"])
        again = service.decide(**asked)
        assert again.repeated
        assert again.suppressions == answer.suppressions
        assert again.explanation == answer.explanation


def test_a_repeated_request_reserves_nothing_more(tmp_path: Path) -> None:
    """A hundred repeats of one request, many at once, are one decision and one contact."""
    with shop(tmp_path, CAP_OF_3) as service, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: service.decide(request_id="one"), range(100)))
        assert len({answer.decision_id for answer in answers}) == 1
        assert len(service.log.standing(KEYS.pseudonym("alice")).contacts) == 1


def test_a_catalog_without_rules_reserves_nothing(service: Service) -> None:
    """It reads nothing of the subject, and no contact is kept."""
    service.decide()
    assert reservations(service.log) == []
    catalog, subject = service.current().catalog, KEYS.pseudonym("alice")
    no_log: Any = None
    assert eligible_now(no_log, subject, Request(START_MS), catalog).situation.tree


def test_a_choice_that_was_overtaken_is_made_again(tmp_path: Path) -> None:
    """Whoever loses the chosen window to somebody else chooses from the rest, exactly."""
    with shop(tmp_path, "[contacts]\nminimum_gap_hours = 0.25", windows=4) as service:
        rival = Rival(service.log)
        meet(service, rival)
        answers = [service.decide() for _ in range(3)]
        assert [is_sent(answer) for answer in answers] == [True, True, False]
        assert rival.rounds == 3
        contacts = service.log.standing(KEYS.pseudonym("alice")).contacts
        assert len({one.send_time_ms for one in contacts}) == 4
        assert [service.record(one.decision_id).tree for one in answers[2:]] == [()]
        assert_exact(service, answers)


def test_an_overtaken_request_draws_what_its_id_says(tmp_path: Path) -> None:
    """Its decision has the random bits of the request's id, as if nobody had been faster."""
    with shop(tmp_path, "[contacts]\nminimum_gap_hours = 0.25", windows=4) as service:
        meet(service, Rival(service.log))
        answer = service.decide(request_id="one")
        bits = int.from_bytes(service.record(answer.decision_id).decision_id[8:], "big")
        assert bits & (1 << 62) - 1 == KEYS.request_entropy("one")
        assert service.decide(request_id="one").decision_id == answer.decision_id


def test_whoever_is_always_overtaken_is_answered_all_the_same(tmp_path: Path) -> None:
    """A batch larger than what is chosen again at a time, each time overtaken: all get a choice."""
    with shop(tmp_path, "[contacts]\nminimum_gap_hours = 0.25", windows=168) as service:
        rival = Rival(service.log)
        meet(service, rival)
        batch = decision_api.BatchDecideRequest(requests=[request()] * 3 * AGAIN_MAX)
        answers = [one.response for one in service.decisions.BatchDecide(batch).results]
        assert rival.rounds > 1
        sent = [answer.send.send_time.ToMilliseconds() for answer in answers if is_sent(answer)]
        assert len(set(sent)) == len(sent) > AGAIN_MAX
        assert len({answer.decision_id for answer in answers}) == 3 * AGAIN_MAX
        assert_exact(service, answers)


def test_a_no_send_that_was_drawn_is_made_again_as_well(tmp_path: Path) -> None:
    """Were only messages looked at again, to draw them would be less likely than is logged."""
    with shop(tmp_path, f"{CAP}[no_send]\n") as service:
        meet(service, Rival(service.log, everybody=True))
        answers = [service.decide(f"s{turn}") for turn in range(40)]
        for answer in answers:
            assert answer.no_send.reason == common.NO_SEND_REASON_CHOSEN
            assert service.record(answer.decision_id).stages[0].pmf == (1.0,)


def test_what_was_stored_in_an_earlier_round_is_answered(tmp_path: Path) -> None:
    """Where the log has no room for the last of a batch, the others are on disk and answered."""
    with shop(tmp_path, "[contacts]\nminimum_gap_hours = 1") as service:
        meet(service, Filling(service.log))
        asked = [request(f"s{number}") for number in range(AGAIN_MAX + 3)]
        batch = decision_api.BatchDecideRequest(requests=asked)
        results = service.decisions.BatchDecide(batch).results
        for one in results[:AGAIN_MAX]:
            assert service.record(one.response.decision_id).no_send_reason
        reasons = {refusal_of(one.error).reason for one in results[AGAIN_MAX:]}
        assert reasons == {"LOG_FULL"}


def test_every_arm_keeps_to_the_rules(tmp_path: Path) -> None:
    """Random, baseline and champion send no more than the cap; the holdout reserves nothing."""
    traffic = (
        '[traffic]\nrandom = 0.3\nbaseline = 0.3\nholdout = 0.2\n[baseline]\noffer = "loyal"\n'
    )
    with shop(tmp_path, f"{CAP}{traffic}") as service:
        sent = Counter[int]()
        for turn in range(120):
            answer = service.decide(f"s{turn // 2}")
            if answer.HasField("send"):
                sent[turn // 2] += 1
            elif answer.arm == common.ARM_HOLDOUT:
                assert answer.no_send.reason == common.NO_SEND_REASON_HOLDOUT
        assert set(sent.values()) == {1}
        assert len(reservations(service.log)) == len(sent) > 30
