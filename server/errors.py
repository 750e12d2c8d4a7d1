"""Turns domain errors into gRPC statuses with `google.rpc.ErrorInfo`: the only place that does."""

import logging
from collections.abc import Mapping
from functools import singledispatch

from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from decisionlog import (
    AdmissionFailed,
    DecisionLogError,
    DeliveryIdReused,
    InvalidRecord,
    LogFull,
    MalformedDecisionId,
    RecordTooLarge,
    RewardIdReused,
)
from decisionlog.ids import to_text
from policy.errors import (
    DamagedModelError,
    InvalidRolloutError,
    RequestError,
    RolloutChangedError,
    UnknownRuleError,
    UnknownVersionError,
)
from sendwise.v1.error_reason_pb2 import ErrorReason
from server.refusals import (
    BatchSizeError,
    InexplicableError,
    RequestReusedError,
    TokenRequiredError,
    TooManyStreamsError,
    UnknownDecisionError,
)

DOMAIN = "sendwise"
# A status travels in the headers of an answer, which gRPC takes up to about 8 KiB.
TEXT_BYTES_MAX = 1_000
_PREFIX = "ERROR_REASON_"
_log = logging.getLogger(__name__)


@singledispatch
def status_of(error: Exception) -> Status:
    """The status that a caller gets for an error.

    What no rule below knows becomes INTERNAL with a generic text: its own text may hold anything
    and goes to the server's log alone.
    """
    return _unexpected(error)


def _unexpected(error: Exception) -> Status:
    _log.error("unexpected error", exc_info=error)
    text = "a fault of the server; its log says more"
    return _status(StatusCode.INTERNAL, ErrorReason.ERROR_REASON_INTERNAL, text, {})


@status_of.register
def _(error: RequestError) -> Status:
    reason = ErrorReason.Value(f"{_PREFIX}{error.reason}")
    return _field_status(reason, error.field, error.problem)


@status_of.register
def _(error: MalformedDecisionId) -> Status:
    problem = str(error)
    return _field_status(ErrorReason.ERROR_REASON_INVALID_FIELD, "decision_id", problem)


@status_of.register
def _(error: RequestReusedError) -> Status:
    metadata = {"request_id": error.request_id, "decision_id": error.decision_id}
    reason = ErrorReason.ERROR_REASON_REQUEST_ID_REUSED
    return _status(StatusCode.ALREADY_EXISTS, reason, str(error), metadata)


@status_of.register
def _(error: DeliveryIdReused) -> Status:
    metadata = {"decision_id": to_text(error.decision_id), "delivery_id": error.delivery_id}
    reason = ErrorReason.ERROR_REASON_DELIVERY_ID_REUSED
    return _status(StatusCode.ALREADY_EXISTS, reason, str(error), metadata)


@status_of.register
def _(error: RewardIdReused) -> Status:
    metadata = {"decision_id": to_text(error.decision_id), "reward_id": error.reward_id}
    reason = ErrorReason.ERROR_REASON_REWARD_ID_REUSED
    return _status(StatusCode.ALREADY_EXISTS, reason, str(error), metadata)


@status_of.register
def _(error: UnknownDecisionError) -> Status:
    metadata = {"decision_id": error.decision_id}
    reason = ErrorReason.ERROR_REASON_UNKNOWN_DECISION
    return _status(StatusCode.NOT_FOUND, reason, str(error), metadata)


@status_of.register
def _(error: InexplicableError) -> Status:
    metadata = {"decision_id": error.decision_id, "problem": error.problem}
    reason = ErrorReason.ERROR_REASON_INEXPLICABLE
    return _status(StatusCode.FAILED_PRECONDITION, reason, str(error), metadata)


@status_of.register
def _(error: BatchSizeError) -> Status:
    metadata = {"size": str(error.size), "maximum": str(error.maximum)}
    reason = ErrorReason.ERROR_REASON_BATCH_SIZE
    return _status(StatusCode.INVALID_ARGUMENT, reason, str(error), metadata)


@status_of.register
def _(error: TooManyStreamsError) -> Status:
    metadata = {"maximum": str(error.maximum)}
    reason = ErrorReason.ERROR_REASON_TOO_MANY_STREAMS
    return _status(StatusCode.RESOURCE_EXHAUSTED, reason, str(error), metadata)


@status_of.register
def _(error: TokenRequiredError) -> Status:
    reason = ErrorReason.ERROR_REASON_TOKEN_REQUIRED
    return _status(StatusCode.UNAUTHENTICATED, reason, str(error), {})


@status_of.register
def _(error: InvalidRolloutError) -> Status:
    return _rollout_status(error, error.problem)


@status_of.register(UnknownRuleError)
@status_of.register(UnknownVersionError)
@status_of.register(DamagedModelError)
def _(error: Exception) -> Status:
    return _rollout_status(error, str(error))


@status_of.register
def _(error: RolloutChangedError) -> Status:
    metadata = {"expected": str(error.expected), "actual": str(error.actual)}
    reason = ErrorReason.ERROR_REASON_ROLLOUT_CHANGED
    return _status(StatusCode.ABORTED, reason, str(error), metadata)


@status_of.register
def _(error: LogFull) -> Status:
    _log.error("%s", error)
    text = "the log has no room left; nothing was stored, try again later"
    return _status(StatusCode.RESOURCE_EXHAUSTED, ErrorReason.ERROR_REASON_LOG_FULL, text, {})


@status_of.register(InvalidRecord)
@status_of.register(AdmissionFailed)
def _(error: Exception) -> Status:
    # A fault of the code that made the record or checked it: trying again would not help.
    return _unexpected(error)


@status_of.register
def _(error: RecordTooLarge) -> Status:
    problem = (
        f"takes {error.size_bytes} bytes of the log, more than {error.maximum_bytes}: its eligible "
        "offers and its features together are too large to be stored; send fewer"
    )
    return _field_status(ErrorReason.ERROR_REASON_INVALID_FIELD, "request", problem)


@status_of.register
def _(error: DecisionLogError) -> Status:
    # The text may name paths of the server: it stays there.
    _log.error("%s", error)
    text = "the log cannot be used now; nothing was stored, try again later"
    return _status(StatusCode.UNAVAILABLE, ErrorReason.ERROR_REASON_LOG_UNAVAILABLE, text, {})


def _field_status(reason: ErrorReason.ValueType, field: str, problem: str) -> Status:
    metadata = {"field": field, "problem": problem}
    violation = BadRequest.FieldViolation(field=_cut(field), description=_cut(problem))
    status = _status(StatusCode.INVALID_ARGUMENT, reason, f"{field} {problem}", metadata)
    status.details.append(_packed(BadRequest(field_violations=[violation])))
    return status


def _rollout_status(error: Exception, problem: str) -> Status:
    reason = ErrorReason.ERROR_REASON_INVALID_ROLLOUT
    return _status(StatusCode.FAILED_PRECONDITION, reason, str(error), {"problem": problem})


def _status(
    code: StatusCode, reason: ErrorReason.ValueType, text: str, metadata: Mapping[str, str]
) -> Status:
    name = ErrorReason.Name(reason).removeprefix(_PREFIX)
    values = {key: _cut(value) for key, value in metadata.items()}
    info = ErrorInfo(reason=name, domain=DOMAIN, metadata=values)
    return Status(code=code.value[0], message=_cut(text), details=[_packed(info)])


def _cut(text: str) -> str:
    """The beginning of a text, of whole characters: what callers send may be told back to them."""
    return text.encode(errors="replace")[:TEXT_BYTES_MAX].decode(errors="ignore")


def _packed(detail: ErrorInfo | BadRequest) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed
