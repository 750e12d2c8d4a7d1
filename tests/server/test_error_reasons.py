"""Every documented reason can be produced, and what nobody foresaw is said in general words."""

import logging
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import grpc
import pytest

from policy.errors import DivergedModelError, InvalidRolloutError, RequestError
from policy.situation import Path as Choices
from policy.situation import Situation
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import policy_service_pb2 as policy_api
from sendwise.v1.error_reason_pb2 import ErrorReason
from server.errors import TEXT_BYTES_MAX, status_of
from server.refusals import RequestReusedError
from server.serving import Serving
from tests.server.service import (
    Refusal,
    Service,
    category,
    delivery,
    idle_stream,
    nothing_stored,
    refusal_of,
    refused,
    request,
    reward,
    running,
)
from tests.shop import register_chain

UNKNOWN = "0199a1b2-c3d4-7e5f-8123-456789abcdef"
PRIVATE = "alice's plan is gold"

LATER: set[str] = set()
"""Reasons that only a later release can produce."""


class Failing:
    """A policy that fails in a way that nobody foresaw, with a text that nobody may see."""

    version = "failing"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def pmf(self, _situation: Situation, _path: Choices) -> object:
        """Fails."""
        raise self._error

    def values(self, _situation: Situation, _path: Choices) -> None:
        """Expects nothing."""


def break_policy(service: Service, error: Exception) -> None:
    """Puts a policy into force that always fails."""
    serving = service.current()
    policies = {"uniform": Failing(error)}
    service.current._serving = Serving(serving.rollout, serving.catalog, policies)  # type: ignore[arg-type]


def rollout(expected: int, share: float) -> policy_api.SetRolloutRequest:
    """A champion with a share, in the place of a rollout."""
    arms = [policy_api.ArmShare(arm=1, policy_version="uniform", share=share)]  # type: ignore[arg-type]
    return policy_api.SetRolloutRequest(expected_sequence=expected, arms=arms)


def fill(service: Service) -> object:
    """Decides until the log has no room left."""
    text = {f"f{turn}": category("x" * 256) for turn in range(100)}
    return [service.decide(features=text) for _ in range(1000)]


def reuse_request(service: Service) -> object:
    """Two requests under one id."""
    return [service.decide(subject, request_id="one") for subject in ("alice", "bob")]


def reuse_delivery(service: Service) -> object:
    """Two reports under one id."""
    reports = [delivery(UNKNOWN, status) for status in (1, 2)]
    return [service.feedback.ReportDelivery(report) for report in reports]


def reuse_reward(service: Service) -> object:
    """Two rewards under one id."""
    return [service.feedback.ReportReward(reward(UNKNOWN, value=value)) for value in (1.0, 2.0)]


def lose_log(service: Service) -> object:
    """Asks after the log was closed."""
    service.log.close()
    return service.decide()


def fail(service: Service) -> object:
    """Asks a policy that fails."""
    break_policy(service, RuntimeError(PRIVATE))
    return service.decide()


def open_streams(service: Service) -> object:
    """Opens one idle stream more than a worker takes."""
    end = Event()
    with ExitStack() as stack:
        stack.callback(end.set)
        streams = [idle_stream(service, end) for _ in range(9)]  # a dropped one would be ended
        return [next(stream) for stream in streams]


def empty_batch(service: Service) -> object:
    """A batch of nothing."""
    return service.decisions.BatchDecide(decision_api.BatchDecideRequest())


def forget_the_model(service: Service) -> object:
    """The chain that decided is gone when it is asked about."""
    version = register_chain(service.registry)
    service.promote(version)
    decided = service.decide()
    service.promote("uniform")
    shutil.rmtree(service.registry._models / version)
    return service.policies.Explain(policy_api.ExplainRequest(decision_id=decided.decision_id))


PROVOKED: dict[str, tuple[grpc.StatusCode, Callable[[Service], object]]] = {
    "INVALID_FIELD": (grpc.StatusCode.INVALID_ARGUMENT, lambda s: s.decide("")),
    "UNKNOWN_TIME_ZONE": (grpc.StatusCode.INVALID_ARGUMENT, lambda s: s.decide(time_zone="Mars")),
    "UNKNOWN_OFFER": (grpc.StatusCode.INVALID_ARGUMENT, lambda s: s.decide(eligible_offers=["x"])),
    "UNKNOWN_CHANNEL": (
        grpc.StatusCode.INVALID_ARGUMENT,
        lambda s: s.decide(eligible_channels=["x"]),
    ),
    "REQUEST_ID_REUSED": (grpc.StatusCode.ALREADY_EXISTS, reuse_request),
    "DELIVERY_ID_REUSED": (grpc.StatusCode.ALREADY_EXISTS, reuse_delivery),
    "REWARD_ID_REUSED": (grpc.StatusCode.ALREADY_EXISTS, reuse_reward),
    "UNKNOWN_DECISION": (
        grpc.StatusCode.NOT_FOUND,
        lambda s: s.policies.Explain(policy_api.ExplainRequest(decision_id=UNKNOWN)),
    ),
    "INEXPLICABLE": (grpc.StatusCode.FAILED_PRECONDITION, forget_the_model),
    "BATCH_SIZE": (grpc.StatusCode.INVALID_ARGUMENT, empty_batch),
    "TOKEN_REQUIRED": (grpc.StatusCode.UNAUTHENTICATED, lambda s: s.decide()),
    "INVALID_ROLLOUT": (
        grpc.StatusCode.FAILED_PRECONDITION,
        lambda s: s.policies.SetRollout(rollout(1, 0.5)),
    ),
    "ROLLOUT_CHANGED": (grpc.StatusCode.ABORTED, lambda s: s.policies.SetRollout(rollout(7, 1.0))),
    "LOG_FULL": (grpc.StatusCode.RESOURCE_EXHAUSTED, fill),
    "LOG_UNAVAILABLE": (grpc.StatusCode.UNAVAILABLE, lose_log),
    "TOO_MANY_STREAMS": (grpc.StatusCode.RESOURCE_EXHAUSTED, open_streams),
    "INTERNAL": (grpc.StatusCode.INTERNAL, fail),
}


def test_every_reason_has_its_case() -> None:
    """The cases here and those of later releases are all of the documented reasons."""
    documented = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    assert PROVOKED.keys() | LATER == documented - {"UNSPECIFIED"}
    assert not PROVOKED.keys() & LATER


@pytest.mark.parametrize("reason", PROVOKED)
def test_every_reason_can_be_produced(tmp_path: Path, reason: str) -> None:
    """A caller gets it with its code, and a text in one line that a person can read."""
    code, provoke = PROVOKED[reason]
    tokens = ["secret"] if reason == "TOKEN_REQUIRED" else None
    with running(tmp_path / "data", tokens=tokens, map_size_bytes=2**20) as service:
        found = refused(lambda: provoke(service))
    assert (found.reason, found.code) == (reason, code)
    assert found.text
    assert "\n" not in found.text


def call_with(service: Service, *metadata: tuple[str, str]) -> object:
    """A call with metadata."""
    return service.decisions.Decide(request(), metadata=metadata)


@pytest.mark.parametrize(
    "metadata",
    [
        [],
        [("authorization", "secret")],
        [("authorization", "Basic secret")],
        [("authorization", "Bearer ")],
        [("authorization", "Bearer secre")],
        [("authorization", "Bearer secret2")],
        [("x-authorization", "Bearer secret")],
    ],
)
def test_a_call_without_a_valid_token_is_refused(
    tmp_path: Path, metadata: list[tuple[str, str]]
) -> None:
    """Missing, malformed and wrong tokens are told alike; nothing is stored."""
    with running(tmp_path / "data", tokens=["secret", "other"]) as service:
        with nothing_stored(service.log):
            found = refused(lambda: call_with(service, *metadata))
        assert (found.reason, found.metadata) == ("TOKEN_REQUIRED", {})


def test_every_valid_token_opens_every_service(tmp_path: Path) -> None:
    """Calls, streams included, with any of the tokens pass; a stream without one does not."""
    with running(tmp_path / "data", tokens=["secret", "other"]) as service:
        assert call_with(service, ("authorization", "Bearer other"))
        metadata = (("authorization", "Bearer secret"),)
        service.feedback.ReportReward(reward(UNKNOWN), metadata=metadata)
        service.policies.GetRollout(policy_api.GetRolloutRequest(), metadata=metadata)
        asked = decision_api.StreamDecideRequest(request=request())
        assert list(service.decisions.StreamDecide(iter([asked]), metadata=metadata))
        found = refused(lambda: list(service.decisions.StreamDecide(iter([asked]))))
        assert found.reason == "TOKEN_REQUIRED"


def test_an_unexpected_error_tells_the_caller_nothing(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own text goes to the server's log, with the traceback, and nothing is stored."""
    break_policy(service, RuntimeError(PRIVATE))
    with caplog.at_level(logging.ERROR), nothing_stored(service.log):
        found: Refusal = refused(service.decide)
    assert (found.code, found.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert found.text == "a fault of the server; its log says more"
    assert PRIVATE not in str(found)
    (record,) = (one for one in caplog.records if one.exc_info)
    assert PRIVATE in str(record.exc_info)


def test_a_diverged_model_is_a_fault_of_the_server(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller can do nothing about it; the operator reads what to do."""
    break_policy(service, DivergedModelError())
    with caplog.at_level(logging.ERROR), nothing_stored(service.log):
        assert refused(service.decide).reason == "INTERNAL"
    assert "train and promote another version" in str(caplog.records[-1].exc_info)


def test_an_unexpected_error_keeps_to_its_own_request(service: Service) -> None:
    """Of a batch only the requests that need the failing policy fail; the others are stored."""
    break_policy(service, RuntimeError(PRIVATE))
    asked = [request("alice"), request("bob", eligible_offers=["past"])]  # bob has no choice
    batch = decision_api.BatchDecideRequest(requests=asked)
    alice, bob = service.decisions.BatchDecide(batch).results
    assert refusal_of(alice.error).reason == "INTERNAL"
    service.record(bob.response.decision_id)


def test_a_full_log_stores_nothing_of_what_it_refuses(tmp_path: Path) -> None:
    """Every decision that was answered is there, the refused one is not, in no part."""
    text = {f"f{turn}": category("x" * 256) for turn in range(100)}
    answered: list[str] = []
    with running(tmp_path / "data", map_size_bytes=2**20) as service, ExitStack() as stack:
        stack.enter_context(pytest.raises(grpc.RpcError))
        while len(answered) < 1000:
            turn = str(len(answered))
            answered.append(service.decide(request_id=turn, features=text).decision_id)
    with running(tmp_path / "data", map_size_bytes=2**22) as service:
        assert all(service.record(decision_id) for decision_id in answered)
        counts = service.log.counts()
        assert (counts.decisions, counts.requests) == (len(answered), len(answered))
        retried = service.decide(request_id=str(len(answered)), features=text)
        assert not retried.repeated


@pytest.mark.parametrize("letter", ["x", "\U0001f600"])
@pytest.mark.parametrize(
    "error_of",
    [
        lambda text: RequestError("INVALID_FIELD", text, text),
        InvalidRolloutError,
        lambda text: RequestReusedError(text, UNKNOWN),
    ],
    ids=["field", "rollout", "metadata"],
)
def test_no_text_of_a_status_is_long(error_of: Callable[[str], Exception], letter: str) -> None:
    """Every part is cut to what fits into the headers of an answer, and remains whole text."""
    found = refusal_of(status_of(error_of("a" + letter * 1_000_000)))
    parts = [found.text, *found.metadata.values(), *found.fields, *found.fields.values()]
    assert max(len(part.encode()) for part in parts) <= TEXT_BYTES_MAX
    assert all(part.endswith(letter) for part in parts if part not in {found.text, UNKNOWN})


def test_a_short_text_is_not_cut() -> None:
    """A usual error says all that it has to say."""
    found = refusal_of(status_of(RequestError("INVALID_FIELD", "features[é]", "is not finite")))
    assert found.text == "features[é] is not finite"
    assert found.fields == {"features[é]": "is not finite"}
