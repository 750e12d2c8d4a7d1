"""Decisions over a real socket: every field of the answer, against the log and recomputed."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from decisionlog import Decision, Keys
from decisionlog.ids import entropy
from policy.choice import choose
from policy.draw import uniform
from policy.situation import bits, situation_of
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1.decision_service_pb2 import BatchDecideRequest
from server.converters import ask_of
from tests.server.service import (
    KEYS,
    Service,
    category,
    nothing_stored,
    number,
    refusal_of,
    refused,
    request,
    running,
)
from tests.shop import CATALOG, START_MS, register_chain, shop

HOUR_MS = 3_600_000


def recomputed(service: Service, record: Decision) -> list[tuple[tuple[float, ...], int]]:
    """The pmf and the chosen index of each stage, computed again from registry and record."""
    policy = service.registry.policy(record.policy_version)
    choice = choose(policy, situation_of(record, shop()), entropy(record.decision_id))
    return [(tuple(stage.pmf.tolist()), stage.chosen) for stage in choice.stages]


def assert_answers(service: Service, response: decision_api.DecideResponse) -> Decision:
    """An answer says what the log says, and the log what can be computed again."""
    record = service.record(response.decision_id)
    assert recomputed(service, record) == [(stage.pmf, stage.chosen) for stage in record.stages]
    offer, channel, send_time = (stage.pmf[stage.chosen] for stage in record.stages)
    stages = response.stage_probabilities
    assert (stages.offer, stages.channel, stages.send_time) == (offer, channel, send_time)
    assert response.action_probability == pytest.approx(offer * channel * send_time, rel=1e-15)
    assert response.policy_version == record.policy_version
    assert response.catalog_version == record.catalog_version == shop().version
    assert response.arm == record.arm == common.ARM_CHAMPION
    name, channels = record.tree[record.stages[0].chosen]
    if name == "no_send":
        assert response.no_send.reason == record.no_send_reason == common.NO_SEND_REASON_CHOSEN
        return record
    channel_name, mask = channels[record.stages[1].chosen]
    window = bits(mask)[record.stages[2].chosen]
    start_ms = record.grid.start_ms + window * HOUR_MS
    assert (response.send.offer, response.send.channel) == (name, channel_name)
    assert response.send.send_time.ToMilliseconds() == max(start_ms, START_MS)
    assert response.send.send_before.ToMilliseconds() == start_ms + HOUR_MS
    assert record.no_send_reason == 0
    return record


def test_a_choice_is_what_was_logged_and_can_be_recomputed(service: Service) -> None:
    """Every field follows from the record, and the record from registry and decision id."""
    service.promote(register_chain(service.registry))
    features = {"age": number(41.5), "plan": category("gold"), "vip": common.Feature(flag=True)}
    for turn in range(20):
        response = service.decide(f"customer-{turn}", features=features)
        record = assert_answers(service, response)
        assert record.features == {"age": 41.5, "plan": "gold", "vip": True}
        assert record.subject == KEYS.pseudonym(f"customer-{turn}")
        assert record.decided_at_ms >= START_MS
        assert not response.repeated
        assert not response.HasField("explanation")
        assert not response.suppressions


def test_the_tree_holds_what_the_rules_allow(service: Service) -> None:
    """Offers in the catalog's order, windows of the subject's zone without the quiet ones."""
    record = service.record(service.decide(time_zone="Europe/London").decision_id)
    # Six windows from 10:00 in London; the push channel is quiet from 15:00.
    everything = ("email", 0b111111)
    assert record.tree == (
        ("spring", (everything, ("push", 0b011111))),
        ("loyal", (everything,)),
        ("no_send", (("none", 1),)),
    )
    assert record.grid.start_ms == START_MS // HOUR_MS * HOUR_MS
    assert record.grid.local_minutes == tuple(60 * hour for hour in range(10, 16))
    assert record.time_zone == "Europe/London"


def test_the_catalogs_zone_stands_in(service: Service) -> None:
    """Without a zone in the request the catalog's is used, and logged."""
    record = service.record(service.decide().decision_id)
    assert record.time_zone == "Europe/Berlin"
    assert record.grid.local_minutes[0] == 11 * 60


def test_lists_narrow_the_tree(service: Service) -> None:
    """Eligible and excluded offers and channels leave what they say."""
    record = service.record(
        service.decide(
            eligible_offers=["spring", "loyal"],
            excluded_offers=["loyal"],
            eligible_channels=["email", "push"],
            excluded_channels=["email"],
        ).decision_id
    )
    assert record.tree == (("spring", (("push", 0b001111),)),)


def test_times_narrow_the_windows(service: Service) -> None:
    """The first window holds the earliest send time; none begins after the latest."""
    asked = request(eligible_offers=["loyal"])
    asked.earliest_send_time.FromMilliseconds(START_MS + 2 * HOUR_MS)
    asked.latest_send_time.FromMilliseconds(START_MS + 3 * HOUR_MS)
    response = service.decisions.Decide(asked)
    record = service.record(response.decision_id)
    assert record.tree == (("loyal", (("email", 0b11),)),)
    assert record.grid.earliest_ms == START_MS + 2 * HOUR_MS
    times = {START_MS + 2 * HOUR_MS, START_MS // HOUR_MS * HOUR_MS + 3 * HOUR_MS}
    assert response.send.send_time.ToMilliseconds() in times


def test_critical_messages_ignore_quiet_hours(service: Service) -> None:
    """They keep needing consent; the priority is logged."""
    fields: dict[str, Any] = {"eligible_offers": ["spring"], "granted_consents": []}
    normal = service.record(service.decide(**fields).decision_id)
    critical = service.record(
        service.decide(priority=common.PRIORITY_CRITICAL, **fields).decision_id
    )
    assert normal.tree == (("spring", (("push", 0b001111),)),)
    assert critical.tree == (("spring", (("push", 0b111111),)),)
    assert (normal.priority, critical.priority) == (1, 2)


def test_offer_features_reach_the_record(service: Service) -> None:
    """What is known of a subject and an offer is logged with the offer."""
    affinity = common.FeatureSet(features={"affinity": number(0.25)})
    record = service.record(service.decide(offer_features={"loyal": affinity}).decision_id)
    assert record.offer_features == {"loyal": {"affinity": 0.25}}


def test_features_that_are_not_kept_are_neither_used_nor_stored(tmp_path: Path) -> None:
    """The response counts them, the record has none of them; a repeat counts nothing."""
    catalog = f"{CATALOG}\n[features]\nkeep = ['plan']\nkeep_of_offers = []\n"
    with running(tmp_path / "data", catalog) as service:
        given = {"plan": category("gold"), "age": number(41.0)}
        fit = common.FeatureSet(features={"fit": number(1.0)})
        asked = request(request_id="once", features=given, offer_features={"loyal": fit})
        answer = service.decisions.Decide(asked)
        assert (answer.features_dropped, answer.repeated) == (2, False)
        decision = service.record(answer.decision_id)
        assert (decision.features, decision.offer_features) == ({"plan": "gold"}, {})
        again = service.decisions.Decide(asked)
        assert (again.features_dropped, again.repeated) == (0, True)


def test_nothing_eligible_is_an_answer(service: Service) -> None:
    """It is a no-send with its reason and probability 1, and the suppressions say why."""
    asked = request(granted_consents=[], excluded_offers=["no_send"], explain=True)
    asked.earliest_send_time.FromMilliseconds(START_MS + 6 * HOUR_MS)  # 17:07 in Berlin
    response = service.decisions.Decide(asked)
    assert response.no_send.reason == common.NO_SEND_REASON_NOTHING_ELIGIBLE
    assert response.action_probability == 1.0
    assert response.stage_probabilities == common.StageProbabilities(
        offer=1.0, channel=1.0, send_time=1.0
    )
    assert {(one.offer, one.channel, one.reason) for one in response.suppressions} == {
        ("", "email", common.SUPPRESSION_REASON_NO_CONSENT),
        ("", "push", common.SUPPRESSION_REASON_QUIET_HOURS),
        ("spring", "", common.SUPPRESSION_REASON_NO_CHANNEL),
        ("loyal", "", common.SUPPRESSION_REASON_NO_CHANNEL),
        ("past", "", common.SUPPRESSION_REASON_OFFER_NOT_VALID),
        ("no_send", "", common.SUPPRESSION_REASON_CALLER),
    }
    record = service.record(response.decision_id)
    assert (record.tree, record.stages) == ((), ())
    assert record.no_send_reason == common.NO_SEND_REASON_NOTHING_ELIGIBLE


def test_every_suppression_has_its_rule(service: Service) -> None:
    """What the caller left out, and what begins too late, is named as such."""
    asked = request(excluded_offers=["loyal"], excluded_channels=["email"], explain=True)
    found = service.decisions.Decide(asked).suppressions
    assert {(one.offer, one.channel, one.reason) for one in found} == {
        ("loyal", "", common.SUPPRESSION_REASON_CALLER),
        ("", "email", common.SUPPRESSION_REASON_CALLER),
        ("past", "", common.SUPPRESSION_REASON_OFFER_NOT_VALID),
    }
    late = request(explain=True)
    late.latest_send_time.FromMilliseconds(START_MS - 1)
    found = service.decisions.Decide(late).suppressions
    reasons = {(one.channel, one.reason) for one in found if one.channel}
    too_late = common.SUPPRESSION_REASON_NO_SEND_WINDOW
    assert reasons == {("email", too_late), ("push", too_late)}


def test_suppressions_come_only_if_asked_for(service: Service) -> None:
    """An answer that is not to be explained does not say what was not eligible."""
    assert not service.decide(granted_consents=[]).suppressions


def test_an_explanation_shows_the_stages(service: Service) -> None:
    """Names, values, probabilities and the draw of each stage; the draw chooses what was chosen."""
    service.promote(register_chain(service.registry))
    response = service.decide(explain=True, excluded_offers=["no_send"])
    record = service.record(response.decision_id)
    assert [stage.stage for stage in response.explanation.stages] == [
        "offer",
        "channel",
        "send_time",
    ]
    chosen = []
    for shown, stage in zip(response.explanation.stages, record.stages, strict=True):
        assert tuple(action.probability for action in shown.actions) == stage.pmf
        assert all(action.HasField("value") for action in shown.actions)
        assert shown.draw == uniform(entropy(record.decision_id), shown.stage)
        assert picked(shown) == stage.chosen
        chosen.append(shown.actions[stage.chosen].name)
    send_time = response.send.send_time.ToDatetime(UTC)
    assert chosen[:2] == [response.send.offer, response.send.channel]
    assert datetime.fromisoformat(chosen[2]) == send_time


def picked(stage: common.StageExplanation) -> int:
    """The first action at which the running sum exceeds the draw, as the wire documents it."""
    passed = 0.0
    for index, action in enumerate(stage.actions):
        passed += action.probability
        if passed > stage.draw:
            return index
    return len(stage.actions) - 1


def test_a_repeated_request_gets_the_first_answer(service: Service) -> None:
    """All of it again, marked as repeated, although the policy has changed; nothing is stored."""
    asked = request(request_id="spring-17", excluded_channels=["email"], explain=True)
    first = service.decisions.Decide(asked)
    service.promote(register_chain(service.registry))
    service.clock.now_ms += 7 * HOUR_MS
    with nothing_stored(service.log):
        again = service.decisions.Decide(asked)
    assert (first.repeated, again.repeated) == (False, True)
    again.repeated = False
    assert again == first
    assert again.suppressions


def test_a_reused_request_id_is_refused(service: Service) -> None:
    """Another payload under the same id: ALREADY_EXISTS, naming id and decision."""
    first = service.decide(request_id="spring-17")
    with nothing_stored(service.log):
        found = refused(lambda: service.decide("bob", request_id="spring-17"))
    assert found.code is grpc.StatusCode.ALREADY_EXISTS
    assert found.reason == "REQUEST_ID_REUSED"
    assert found.metadata == {"request_id": "spring-17", "decision_id": first.decision_id}


def test_the_order_of_lists_makes_no_other_request(service: Service) -> None:
    """Names that come in another order, or twice, ask for the same."""
    lists: dict[str, Any] = {
        "granted_consents": ["marketing", "sms"],
        "eligible_offers": ["spring", "loyal"],
        "excluded_offers": ["past", "no_send"],
        "eligible_channels": ["email", "push"],
    }
    first = service.decide(request_id="one", **lists)
    turned: dict[str, Any] = {name: [*reversed(names), names[0]] for name, names in lists.items()}
    again = service.decide(request_id="one", **turned)
    assert (again.decision_id, again.repeated) == (first.decision_id, True)
    other: dict[str, Any] = {**lists, "granted_consents": ["marketing"]}
    assert refused(lambda: service.decide(request_id="one", **other)).reason == "REQUEST_ID_REUSED"


def test_what_was_asked_cannot_be_tried_out_without_the_key(service: Service) -> None:
    """The log keeps no hash that a guess of the whole request would give."""
    asked = request(request_id="one")
    digest = service.record(service.decisions.Decide(asked).decision_id).request_digest
    guesses = [ask_of(asked).digest, Keys(bytes(32)).request_digest(ask_of(asked).digest)]
    assert digest not in guesses
    assert digest == KEYS.request_digest(guesses[0])
    assert service.record(service.decide().decision_id).request_digest == bytes(16)


def test_repeats_at_the_same_time_are_one_decision(service: Service) -> None:
    """Of many concurrent calls one stores; all answer the same."""
    asked = request(request_id="the one")
    answers = [
        call.result() for call in [service.decisions.Decide.future(asked) for _ in range(40)]
    ]
    assert {answer.decision_id for answer in answers} == {answers[0].decision_id}
    assert [answer.repeated for answer in answers].count(False) == 1
    assert service.log.counts().decisions == 1


def test_without_a_request_id_every_call_decides(service: Service) -> None:
    """Equal requests are different decisions unless they have an id."""
    assert service.decide().decision_id != service.decide().decision_id
    assert service.log.counts().decisions == 2


def test_a_batch_answers_in_order(service: Service) -> None:
    """Good and bad requests mixed: each has its choice or the error that Decide would return."""
    service.decide("zoe", request_id="taken")
    asked = [
        request("alice", request_id="a"),
        request("bob", time_zone="Europe/Atlantis"),
        request("alice", request_id="a"),
        request("carol", request_id="taken"),
        request("alice", request_id="a", time_zone="Asia/Tokyo"),
        request("alice", request_id="a", explain=True),
        request("dora"),
    ]
    answer = service.decisions.BatchDecide(decision_api.BatchDecideRequest(requests=asked))
    alice, bob, again, carol, other, why, dora = answer.results
    assert_answers(service, alice.response)
    assert refusal_of(bob.error).reason == "UNKNOWN_TIME_ZONE"
    assert again.response.decision_id == alice.response.decision_id
    assert (alice.response.repeated, again.response.repeated) == (False, True)
    assert refusal_of(carol.error).reason == "REQUEST_ID_REUSED"
    assert refusal_of(carol.error).metadata["request_id"] == "taken"
    assert refusal_of(other.error).metadata["request_id"] == "a"
    # To be told more about an answer is not to ask for another.
    assert why.response.decision_id == alice.response.decision_id
    assert why.response.HasField("explanation")
    assert service.record(dora.response.decision_id).subject == KEYS.pseudonym("dora")
    assert service.log.counts().decisions == 3  # zoe's, alice's, dora's


def test_a_batch_may_have_a_thousand(service: Service) -> None:
    """The largest batch is answered whole, and all of it is on disk."""
    asked = [request(f"customer-{turn}") for turn in range(1000)]
    answer = service.decisions.BatchDecide(decision_api.BatchDecideRequest(requests=asked))
    assert len({result.response.decision_id for result in answer.results}) == 1000
    assert service.log.counts().decisions == 1000


@pytest.mark.parametrize("size", [0, 1001])
def test_other_sizes_of_a_batch_are_refused(service: Service, size: int) -> None:
    """Nothing of an empty or too large batch is decided."""
    asked = decision_api.BatchDecideRequest(requests=[request()] * size)
    with nothing_stored(service.log):
        found = refused(lambda: service.decisions.BatchDecide(asked))
    assert found.code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.reason == "BATCH_SIZE"
    assert found.metadata == {"size": str(size), "maximum": "1000"}


def campaign(count: int) -> Iterator[decision_api.StreamDecideRequest]:
    """Requests with every hundredth one bad."""
    for turn in range(count):
        zone = "Europe/Atlantis" if turn % 100 == 99 else ""
        yield decision_api.StreamDecideRequest(
            request=request(f"customer-{turn}", request_id=str(turn), time_zone=zone)
        )


def test_a_stream_answers_in_order(service: Service) -> None:
    """Choices and errors come in the order of the requests, and the choices are on disk."""
    answers = list(service.decisions.StreamDecide(campaign(1500)))
    assert len(answers) == 1500
    for turn, answer in enumerate(answers):
        if turn % 100 == 99:
            assert refusal_of(answer.result.error).reason == "UNKNOWN_TIME_ZONE"
        else:
            record = service.record(answer.result.response.decision_id)
            assert record.subject == KEYS.pseudonym(f"customer-{turn}")
    assert service.log.counts().decisions == 1485


def test_an_empty_stream_ends(service: Service) -> None:
    """No requests, no answers, no error."""
    assert list(service.decisions.StreamDecide(iter(()))) == []


def test_a_cancelled_stream_keeps_what_was_answered(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever hangs up finds every answer that it was given in the log; nobody calls it a fault."""
    call = service.decisions.StreamDecide(campaign(5000))
    answered = [next(call).result.response.decision_id for _ in range(50)]
    call.cancel()
    for decision_id in answered:
        service.record(decision_id)
    service.decide()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_a_batch_with_large_explanations_is_answered_in_full(tmp_path: Path) -> None:
    """What is stored is told; explanations that do not fit are left out, and can be had later."""
    channels = "".join(f"[channels.c{n}]\n" for n in range(4))
    offers = "".join(
        f'[offers.an_offer_{n}]\nchannels = ["c0", "c1", "c2", "c3"]\n' for n in range(250)
    )
    catalog = f'schema = 1\nname = "x"\n{channels}{offers}[send_times]\nwindows = 24\n'
    with running(tmp_path / "data", f"{catalog}[reward]\nweights = {{ p = 1.0 }}\n") as service:
        asked = [request(f"s{n}", request_id=f"{n}", explain=True) for n in range(1000)]
        answer = service.decisions.BatchDecide(BatchDecideRequest(requests=asked))
        assert answer.ByteSize() < 4 * 2**20
        omitted = [one.response.explanation_omitted for one in answer.results]
        assert omitted == sorted(omitted)
        assert 0 < sum(omitted) < 1000
        for one in (answer.results[0], answer.results[-1]):
            response = one.response
            assert response.HasField("explanation") != response.explanation_omitted
        again = service.decisions.Decide(asked[-1])
        assert (again.repeated, again.explanation_omitted) == (True, False)
        assert again.HasField("explanation")
        for message in asked:  # nothing is eligible, and each offer says why
            message.request_id += "-none"
            message.eligible_channels.append("c0")
            message.excluded_channels.append("c0")
        answer = service.decisions.BatchDecide(BatchDecideRequest(requests=asked))
        assert 0 < sum(one.response.explanation_omitted for one in answer.results) < 1000
