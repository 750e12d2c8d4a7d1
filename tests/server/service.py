"""The real services on a real server on loopback, over a real log, with a clock that obeys."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Protocol, cast

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from decisionlog import Decision, DecisionIds, DecisionLog, Keys
from decisionlog.ids import from_text
from policy.registry import Registry
from policy.releases import Releases
from sendwise.v1 import common_pb2 as common
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import feedback_service_pb2 as feedback_api
from sendwise.v1.decision_service_pb2_grpc import DecisionServiceStub
from sendwise.v1.feedback_service_pb2_grpc import FeedbackServiceStub
from sendwise.v1.policy_service_pb2_grpc import PolicyServiceStub
from sendwise.v1.privacy_service_pb2_grpc import PrivacyServiceStub
from server import address, worker
from server.auth import Tokens
from server.engine import Engine
from server.privacy import Privacy
from server.privacy_servicer import register_privacy
from server.reflecting import register_reflection
from server.servicers import Calls, register
from server.serving import Current
from server.settings import WorkerSettings
from server.streams import StreamSlots
from server.telemetry import NULL_TELEMETRY
from tests.shop import CATALOG, Clock

KEYS = Keys(bytes(range(32)))
MAP_SIZE_BYTES = 64 * 2**20


class Answers(Protocol):
    """The answers of a stream, as they come, and its call."""

    def __iter__(self) -> Iterator[decision_api.StreamDecideResponse]: ...
    def __next__(self) -> decision_api.StreamDecideResponse: ...
    def cancel(self) -> object:
        """Ends the call."""


@dataclass(frozen=True)
class Service:
    """A running service: what a client has of it, and what lies behind."""

    address: str
    log: DecisionLog
    registry: Registry
    releases: Releases
    current: Current
    engine: Engine
    clock: Clock
    channel: grpc.Channel
    decisions: DecisionServiceStub = field(init=False)
    feedback: FeedbackServiceStub = field(init=False)
    policies: PolicyServiceStub = field(init=False)
    privacy: PrivacyServiceStub = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "decisions", DecisionServiceStub(self.channel))
        object.__setattr__(self, "feedback", FeedbackServiceStub(self.channel))
        object.__setattr__(self, "policies", PolicyServiceStub(self.channel))
        object.__setattr__(self, "privacy", PrivacyServiceStub(self.channel))

    def decide(self, subject: str = "alice", **fields: object) -> decision_api.DecideResponse:
        """A choice for a customer who may get everything, unless the fields say otherwise."""
        return self.decisions.Decide(request(subject, **fields))

    def record(self, decision_id: str) -> Decision:
        """What the log holds of a decision."""
        found = self.log.decision(from_text(decision_id))
        assert found is not None
        return found

    def promote(self, version: str) -> None:
        """Puts a policy into force at once."""
        self.releases.promote(version)
        self.current.refresh()


@contextmanager
def running(
    data_dir: Path,
    catalog: str = CATALOG,
    *,
    tokens: Sequence[str] | None = None,
    map_size_bytes: int = MAP_SIZE_BYTES,
    threads: int = 16,
) -> Iterator[Service]:
    """Serves while the block runs."""
    clock, registry = Clock(), Registry(data_dir)
    releases = Releases(registry, clock.now)
    releases.publish(catalog)
    current = Current(registry)
    with ExitStack() as stack:
        log = stack.enter_context(
            DecisionLog.open(data_dir, keys=KEYS, map_size_bytes=map_size_bytes)
        )
        engine = Engine(log, KEYS, DecisionIds(clock), registry, current)
        port = stack.enter_context(address.held("127.0.0.1", 0))
        settings = WorkerSettings(
            data_dir=data_dir,
            key_file=data_dir.with_name("key"),
            index=0,
            port=port,
            threads=threads,
        )
        server, _ = worker._server(settings)
        slots = StreamSlots(settings.streams_max)
        calls = Calls(NULL_TELEMETRY, Tokens(tokens), slots)
        register(server, engine, calls, releases, clock)
        register_privacy(server, Privacy(log, KEYS, clock), calls)
        register_reflection(server, slots)
        current.start()
        stack.callback(current.stop)
        server.start()
        stack.callback(lambda: server.stop(None).wait())
        where = f"127.0.0.1:{port}"
        channel = stack.enter_context(grpc.insecure_channel(where))
        yield Service(where, log, registry, releases, current, engine, clock, channel)


def request(subject: str = "alice", **fields: object) -> decision_api.DecideRequest:
    """A request for a customer who may get everything, unless the fields say otherwise."""
    given = {"granted_consents": ["marketing"], **fields}
    return decision_api.DecideRequest(subject_id=subject, **given)  # type: ignore[arg-type]


def idle_stream(service: Service, end: Event) -> Answers:
    """A stream that asks once and then says nothing until its end is set."""

    def asked() -> Iterator[decision_api.StreamDecideRequest]:
        yield decision_api.StreamDecideRequest(request=request())
        end.wait()

    return cast("Answers", service.decisions.StreamDecide(asked()))


def number(value: float) -> common.Feature:
    """A number as a feature."""
    return common.Feature(number=value)


def category(value: str) -> common.Feature:
    """A text as a feature."""
    return common.Feature(category=value)


def delivery(
    decision_id: str, status: int = feedback_api.DELIVERY_STATUS_SENT, **fields: object
) -> feedback_api.ReportDeliveryRequest:
    """A report on a delivery."""
    given = {"decision_id": decision_id, "delivery_id": "d-1", "status": status, **fields}
    return feedback_api.ReportDeliveryRequest(**given)  # type: ignore[arg-type]


def reward(decision_id: str, **fields: object) -> feedback_api.ReportRewardRequest:
    """A reward."""
    given = {
        "decision_id": decision_id,
        "reward_id": "r-1",
        "name": "visit",
        "value": 1.0,
        **fields,
    }
    return feedback_api.ReportRewardRequest(**given)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Refusal:
    """A documented error, taken apart."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]
    text: str
    fields: dict[str, str]
    """What `BadRequest` says of each field; empty where there is none."""


def refusal_of(status: Status) -> Refusal:
    """Takes a status apart; it must have the documented form."""
    info, fields = ErrorInfo(), BadRequest()
    details = {detail.type_url.rpartition(".")[2]: detail for detail in status.details}
    assert details["ErrorInfo"].Unpack(info)
    if "BadRequest" in details:
        assert details["BadRequest"].Unpack(fields)
    assert info.domain == "sendwise"
    code = next(code for code in grpc.StatusCode if code.value[0] == status.code)
    violations = {found.field: found.description for found in fields.field_violations}
    return Refusal(code, info.reason, dict(info.metadata), status.message, violations)


def refused(call: Callable[[], object]) -> Refusal:
    """The error that a call ends with."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    status = rpc_status.from_call(caught.value)
    assert status is not None, "the error carries no google.rpc.Status"
    return refusal_of(status)


@contextmanager
def nothing_stored(log: DecisionLog) -> Iterator[None]:
    """Holds that the block leaves the log as it was."""
    before = log.counts()
    yield
    assert log.counts() == before
