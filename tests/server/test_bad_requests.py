"""What is wrong with a request is said in the documented way, and nothing of it is stored."""

import math
from pathlib import Path

import grpc
import pytest

from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from tests.server.service import (
    Service,
    category,
    nothing_stored,
    number,
    refusal_of,
    refused,
    request,
    running,
)
from tests.shop import CATALOG, DAY_MS, START_MS

MEGABYTE = "x" * 1_000_000
HOSTILE = [
    "|",
    "a|b",
    ":",
    "a:1",
    " ",
    "a b",
    "\n",
    "shared |c x\n0:0:1 |a y",
    "\t",
    "%7C",
    "é",
    "\u202e",
]


def moment(time_ms: int) -> dict[str, int]:
    """A timestamp's fields."""
    return {"seconds": time_ms // 1000, "nanos": time_ms % 1000 * 1_000_000}


BAD: dict[str, tuple[str, str, dict[str, object]]] = {
    # What is wrong: reason, field, fields of the request.
    "no subject": ("INVALID_FIELD", "subject_id", {"subject_id": ""}),
    "a long subject": ("INVALID_FIELD", "subject_id", {"subject_id": "é" * 129}),
    "a megabyte of subject": ("INVALID_FIELD", "subject_id", {"subject_id": MEGABYTE}),
    "a long request id": ("INVALID_FIELD", "request_id", {"request_id": "x" * 129}),
    "no such zone": ("UNKNOWN_TIME_ZONE", "time_zone", {"time_zone": "Europe/Atlantis"}),
    "a path as a zone": ("UNKNOWN_TIME_ZONE", "time_zone", {"time_zone": "../etc/passwd"}),
    "a zone's folder": ("UNKNOWN_TIME_ZONE", "time_zone", {"time_zone": "Europe"}),
    "a zone with NUL": ("UNKNOWN_TIME_ZONE", "time_zone", {"time_zone": "UTC\0"}),
    "a megabyte of zone": ("UNKNOWN_TIME_ZONE", "time_zone", {"time_zone": MEGABYTE}),
    "an unknown eligible offer": (
        "UNKNOWN_OFFER",
        "eligible_offers[1]",
        {"eligible_offers": ["spring", "sumer"]},
    ),
    "an unknown excluded offer": (
        "UNKNOWN_OFFER",
        "excluded_offers[0]",
        {"excluded_offers": ["sumer"]},
    ),
    "features of an unknown offer": (
        "UNKNOWN_OFFER",
        "offer_features[sumer]",
        {"offer_features": {"sumer": common.FeatureSet()}},
    ),
    "an unknown eligible channel": (
        "UNKNOWN_CHANNEL",
        "eligible_channels[0]",
        {"eligible_channels": ["fax"]},
    ),
    "an unknown excluded channel": (
        "UNKNOWN_CHANNEL",
        "excluded_channels[1]",
        {"excluded_channels": ["email", "fax"]},
    ),
    "a megabyte of channel": (
        "UNKNOWN_CHANNEL",
        "eligible_channels[0]",
        {"eligible_channels": [MEGABYTE]},
    ),
    "too long a list": (
        "INVALID_FIELD",
        "eligible_offers",
        {"eligible_offers": ["spring"] * 10_001},
    ),
    "an unknown priority": ("INVALID_FIELD", "priority", {"priority": 99}),
    "a feature that is NaN": (
        "INVALID_FIELD",
        "features[age]",
        {"features": {"age": number(math.nan)}},
    ),
    "an infinite feature": (
        "INVALID_FIELD",
        "features[age]",
        {"features": {"age": number(-math.inf)}},
    ),
    "a huge feature": ("INVALID_FIELD", "features[age]", {"features": {"age": number(1.1e9)}}),
    "a feature without value": (
        "INVALID_FIELD",
        "features[age]",
        {"features": {"age": common.Feature()}},
    ),
    "an empty category": ("INVALID_FIELD", "features[plan]", {"features": {"plan": category("")}}),
    "a long category": (
        "INVALID_FIELD",
        "features[plan]",
        {"features": {"plan": category("x" * 257)}},
    ),
    "a megabyte of category": (
        "INVALID_FIELD",
        "features[plan]",
        {"features": {"plan": category(MEGABYTE)}},
    ),
    "a nameless feature": ("INVALID_FIELD", "features name", {"features": {"": number(1)}}),
    "a long feature name": ("INVALID_FIELD", "features name", {"features": {"x" * 129: number(1)}}),
    "a megabyte of name": ("INVALID_FIELD", "features name", {"features": {MEGABYTE: number(1)}}),
    "too many features": (
        "INVALID_FIELD",
        "features",
        {"features": {f"f{turn}": number(turn) for turn in range(257)}},
    ),
    "a bad feature of an offer": (
        "INVALID_FIELD",
        "offer_features[loyal][affinity]",
        {"offer_features": {"loyal": common.FeatureSet(features={"affinity": number(math.nan)})}},
    ),
    "a time before 1970": (
        "INVALID_FIELD",
        "earliest_send_time",
        {"earliest_send_time": {"seconds": -1}},
    ),
    "a time after 9999": (
        "INVALID_FIELD",
        "latest_send_time",
        {"latest_send_time": {"seconds": 253_402_300_800}},
    ),
    "odd nanoseconds": (
        "INVALID_FIELD",
        "earliest_send_time",
        {"earliest_send_time": {"nanos": -1}},
    ),
    "more than 366 days ahead": (
        "INVALID_FIELD",
        "earliest_send_time",
        {"earliest_send_time": moment(START_MS + 366 * DAY_MS + 1)},
    ),
    "the earliest after the latest": (
        "INVALID_FIELD",
        "latest_send_time",
        {
            "earliest_send_time": moment(START_MS + 2000),
            "latest_send_time": moment(START_MS + 1000),
        },
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_request_is_refused(service: Service, case: str) -> None:
    """The reason, the field and the violation say what is wrong, briefly; nothing is stored."""
    reason, field, given = BAD[case]
    asked = decision_api.DecideRequest(**{"subject_id": "alice", **given})  # type: ignore[arg-type]
    with nothing_stored(service.log):
        found = refused(lambda: service.decisions.Decide(asked))
    assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert found.metadata == {"field": field, "problem": found.fields[field]}
    assert len(found.text) < 1000


def test_the_longest_of_everything_is_taken(service: Service) -> None:
    """What the limits allow is stored as it came."""
    names = {f"{turn:03}".ljust(128, "n"): category("v" * 256) for turn in range(256)}
    response = service.decide(
        "s" * 256,
        request_id="r" * 128,
        features=names,
        offer_features={"loyal": common.FeatureSet(features=names)},
        earliest_send_time=moment(START_MS + 366 * DAY_MS),
    )
    record = service.record(response.decision_id)
    assert len(record.features) == len(record.offer_features["loyal"]) == 256


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_only_text(service: Service, text: str) -> None:
    """Names and values that mean something to Vowpal Wabbit are logged, and used, as text."""
    features = {text: category(text), f"{text}2": number(2), f"{text}3": common.Feature(flag=True)}
    affinity = common.FeatureSet(features=features)
    asked = request("alice", features=features, offer_features={"spring": affinity})
    plain = {text: text, f"{text}2": 2.0, f"{text}3": True}
    record = service.record(service.decisions.Decide(asked).decision_id)
    assert (record.features, record.offer_features) == (plain, {"spring": plain})
    assert service.engine.explain_stored(record.decision_id)[1]


def test_features_of_offers_are_bounded_in_all(tmp_path: Path) -> None:
    """The most that is taken fits into a record; more is refused, and stored in no part."""
    offers = "".join(f'[offers.o{turn}]\nchannels = ["email"]\n' for turn in range(33))
    catalog = CATALOG.replace("[no_send]", offers + "[no_send]")
    full = common.FeatureSet(
        features={f"{turn:03}".ljust(128, "n"): category("v" * 256) for turn in range(256)}
    )
    most = {f"o{turn}": full for turn in range(32)}
    with running(tmp_path / "data", catalog) as service:
        assert len(service.record(service.decide(offer_features=most).decision_id).tree) == 36
        more = {**most, "o32": common.FeatureSet(features={"one": number(1)})}
        with nothing_stored(service.log):
            found = refused(lambda: service.decide(offer_features=more))
    assert (found.reason, found.metadata["field"]) == ("INVALID_FIELD", "offer_features")


def test_a_decision_too_large_for_the_log_is_its_own_requests_error(tmp_path: Path) -> None:
    """Within every limit, but not in all: refused as a bad request, and the batch goes on."""
    names = [f"o{turn}".ljust(64, "n") for turn in range(9_997)]
    channels = [f"c{turn}" for turn in range(12)]
    added = "".join(f"[channels.{name}]\n" for name in channels)
    added += "".join(f"[offers.{name}]\nchannels = {channels}\n" for name in names)
    full = common.FeatureSet(
        features={f"{turn:03}".ljust(128, "n"): category("v" * 256) for turn in range(256)}
    )
    large = request("alice", offer_features=dict.fromkeys(names[:32], full))
    with running(tmp_path / "data", CATALOG.replace("[no_send]", added + "[no_send]")) as service:
        batch = decision_api.BatchDecideRequest(requests=[large, request("bob")])
        alice, bob = service.decisions.BatchDecide(batch).results
        found = refusal_of(alice.error)
        assert (found.code, found.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        assert found.metadata == {"field": "request", "problem": found.fields["request"]}
        assert "too large to be stored" in found.text
        service.record(bob.response.decision_id)
        assert service.log.counts().decisions == 1


def test_a_message_beyond_all_measure_is_refused(service: Service) -> None:
    """GRPC itself refuses it, before anything is read; the service goes on."""
    asked = request(features={"x": category("x" * 33 * 2**20)})
    with nothing_stored(service.log), pytest.raises(grpc.RpcError) as caught:
        service.decisions.Decide(asked)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert service.decide().decision_id


def test_one_bad_request_keeps_no_other_from_its_answer(service: Service) -> None:
    """Every kind of bad request in one batch: each has its reason, the good one its choice."""
    bad = [
        decision_api.DecideRequest(**{"subject_id": "alice", **given})  # type: ignore[arg-type]
        for _, _, given in BAD.values()
    ]
    batch = decision_api.BatchDecideRequest(requests=[*bad, request("bob")])
    *errors, good = service.decisions.BatchDecide(batch).results
    assert all(result.HasField("error") for result in errors)
    service.record(good.response.decision_id)
    assert service.log.counts().decisions == 1
