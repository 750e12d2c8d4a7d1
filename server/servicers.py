"""The gRPC services: they convert, delegate to the engine, and convert back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import NoReturn, TypeVar

import grpc
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from decisionlog import Delivery, ReportOutcome, Reward
from decisionlog.ids import from_text
from policy.releases import Releases
from sendwise.v1 import decision_service_pb2 as decision_api
from sendwise.v1 import decision_service_pb2_grpc as decision_grpc
from sendwise.v1 import feedback_service_pb2 as feedback_api
from sendwise.v1 import feedback_service_pb2_grpc as feedback_grpc
from sendwise.v1 import policy_service_pb2 as policy_api
from sendwise.v1 import policy_service_pb2_grpc as policy_grpc
from sendwise.v1 import privacy_service_pb2 as privacy_api
from server.asks import Answer, Ask
from server.auth import Tokens
from server.converters import (
    arms_of,
    ask_of,
    delivery_of,
    explanation_of,
    response_of,
    reward_of,
    rollout_of,
)
from server.engine import Engine
from server.errors import status_of
from server.refusals import BatchSizeError, RefusalError
from server.streams import StreamSlots, groups
from server.telemetry import Telemetry
from server.unreadable import readable, reading

BATCH_MAX = 1000
EXPLAINED_BYTES_MAX = 3 * 2**20
"""From this size on the answer to a batch has no more explanations; clients take 4 MiB at most,
unless they are told otherwise, and without explanations a thousand answers take half a MiB."""
SERVICES = (
    decision_api.DESCRIPTOR.services_by_name["DecisionService"].full_name,
    feedback_api.DESCRIPTOR.services_by_name["FeedbackService"].full_name,
    policy_api.DESCRIPTOR.services_by_name["PolicyService"].full_name,
    privacy_api.DESCRIPTOR.services_by_name["PrivacyService"].full_name,
)

_Request = TypeVar("_Request")
_Response = TypeVar("_Response")
_Message = TypeVar("_Message")
_Value = TypeVar("_Value")


class Calls:
    """What every call has in common: its token, its telemetry, its errors, its place."""

    def __init__(self, telemetry: Telemetry, tokens: Tokens, slots: StreamSlots) -> None:
        self.telemetry = telemetry
        self._tokens = tokens
        self._slots = slots

    def answer(
        self,
        method: str,
        handle: Callable[[_Request], _Response],
        request: _Request,
        context: grpc.ServicerContext,
    ) -> _Response:
        """Runs a handler; what it raises becomes the call's status."""
        with self.telemetry.call(method, context) as call:
            try:
                self._tokens.check(context.invocation_metadata())
                return handle(readable(request))
            except Exception as error:  # noqa: BLE001 - status_of logs what it does not know
                status = status_of(error)
                call.failed(_code(status).name)
        return _abort(context, status)

    def caller(self, context: grpc.ServicerContext) -> str:
        """Who calls, as the audit trail has it: a token's name, or an address without its port."""
        name = self._tokens.name(context.invocation_metadata())
        return name or f"peer {context.peer().rpartition(':')[0]}"

    @contextmanager
    def stream(self, method: str, context: grpc.ServicerContext) -> Iterator[None]:
        """Lets a stream in while the block runs, or ends it.

        Each group of a stream is a call to telemetry; of its beginning only a refusal is.
        """
        with ExitStack() as stack:
            try:
                self._tokens.check(context.invocation_metadata())
                stack.enter_context(self._slots.held())
            except RefusalError as error:
                self.answer(method, _raise, error, context)
            yield


class DecisionServicer(decision_grpc.DecisionServiceServicer):
    """Chooses offer, channel and send time."""

    def __init__(self, engine: Engine, calls: Calls) -> None:
        self._engine = engine
        self._calls = calls

    def Decide(  # noqa: N802 - the name on the wire
        self, request: decision_api.DecideRequest, context: grpc.ServicerContext
    ) -> decision_api.DecideResponse:
        """Chooses for one subject."""
        method = "sendwise.v1.DecisionService/Decide"
        return self._calls.answer(method, self._decide, request, context)

    def BatchDecide(  # noqa: N802 - the name on the wire
        self, request: decision_api.BatchDecideRequest, context: grpc.ServicerContext
    ) -> decision_api.BatchDecideResponse:
        """Chooses for many subjects."""
        method = "sendwise.v1.DecisionService/BatchDecide"
        return self._calls.answer(method, self._batch_decide, request, context)

    def StreamDecide(  # noqa: N802 - the name on the wire
        self, requests: Iterator[decision_api.StreamDecideRequest], context: grpc.ServicerContext
    ) -> Iterator[decision_api.StreamDecideResponse]:
        """Chooses for a campaign; what has come while the last group was stored is the next."""
        method = "sendwise.v1.DecisionService/StreamDecide"
        with self._calls.stream(method, context):
            for group in groups(requests, BATCH_MAX):
                yield from self._calls.answer(method, self._stream_group, group, context)

    def _stream_group(
        self, group: Sequence[decision_api.StreamDecideRequest]
    ) -> list[decision_api.StreamDecideResponse]:
        answers = self._answers([_attempt(_ask_of_stream, message) for message in group])
        results = map(_decide_result, answers)
        return [decision_api.StreamDecideResponse(result=result) for result in results]

    def _decide(self, request: decision_api.DecideRequest) -> decision_api.DecideResponse:
        (answer,) = self._answers([ask_of(request)])
        if isinstance(answer, Exception):
            raise answer
        return response_of(answer)

    def _batch_decide(
        self, request: decision_api.BatchDecideRequest
    ) -> decision_api.BatchDecideResponse:
        _check_batch(request.requests)
        answers = self._answers([_attempt(ask_of, message) for message in request.requests])
        results = [_decide_result(answer) for answer in answers]
        if any(message.explain for message in request.requests):
            _omit_explanations(results)
        return decision_api.BatchDecideResponse(results=results)

    def _answers(self, asks: Sequence[Ask | Exception]) -> list[Answer | Exception]:
        answers = self._engine.decide(asks)
        for answer in answers:
            if isinstance(answer, Answer) and not answer.repeated:
                self._calls.telemetry.decided(
                    answer.arm, answer.no_send_reason, answer.features_dropped
                )
        return answers


class FeedbackServicer(feedback_grpc.FeedbackServiceServicer):
    """Takes deliveries and rewards."""

    def __init__(self, engine: Engine, calls: Calls, clock_ms: Callable[[], int]) -> None:
        self._engine = engine
        self._calls = calls
        self._clock_ms = clock_ms

    def ReportDelivery(  # noqa: N802 - the name on the wire
        self, request: feedback_api.ReportDeliveryRequest, context: grpc.ServicerContext
    ) -> feedback_api.ReportDeliveryResponse:
        """Takes a delivery."""
        method = "sendwise.v1.FeedbackService/ReportDelivery"
        return self._calls.answer(method, self._report_delivery, request, context)

    def ReportReward(  # noqa: N802 - the name on the wire
        self, request: feedback_api.ReportRewardRequest, context: grpc.ServicerContext
    ) -> feedback_api.ReportRewardResponse:
        """Takes a reward."""
        method = "sendwise.v1.FeedbackService/ReportReward"
        return self._calls.answer(method, self._report_reward, request, context)

    def BatchReportRewards(  # noqa: N802 - the name on the wire
        self, request: feedback_api.BatchReportRewardsRequest, context: grpc.ServicerContext
    ) -> feedback_api.BatchReportRewardsResponse:
        """Takes many rewards."""
        method = "sendwise.v1.FeedbackService/BatchReportRewards"
        return self._calls.answer(method, self._batch_report_rewards, request, context)

    def _report_delivery(
        self, request: feedback_api.ReportDeliveryRequest
    ) -> feedback_api.ReportDeliveryResponse:
        delivery: Delivery = delivery_of(request, self._clock_ms())
        (outcome,) = self._engine.report_deliveries([delivery])
        return feedback_api.ReportDeliveryResponse(outcome=_outcome(outcome))

    def _report_reward(
        self, request: feedback_api.ReportRewardRequest
    ) -> feedback_api.ReportRewardResponse:
        reward: Reward = reward_of(request, self._clock_ms())
        (outcome,) = self._engine.report_rewards([reward])
        return feedback_api.ReportRewardResponse(outcome=_outcome(outcome))

    def _batch_report_rewards(
        self, request: feedback_api.BatchReportRewardsRequest
    ) -> feedback_api.BatchReportRewardsResponse:
        _check_batch(request.rewards)
        now_ms = self._clock_ms()
        rewards = [_attempt(lambda one: reward_of(one, now_ms), one) for one in request.rewards]
        good = [reward for reward in rewards if isinstance(reward, Reward)]
        outcomes = iter(self._engine.report_rewards(good) if good else ())
        results = [next(outcomes) if isinstance(one, Reward) else one for one in rewards]
        return feedback_api.BatchReportRewardsResponse(results=map(_reward_result, results))


class PolicyServicer(policy_grpc.PolicyServiceServicer):
    """Shows and changes the rollout, and explains decisions."""

    def __init__(self, engine: Engine, calls: Calls, releases: Releases) -> None:
        self._engine = engine
        self._calls = calls
        self._releases = releases

    def GetRollout(  # noqa: N802 - the name on the wire
        self, request: policy_api.GetRolloutRequest, context: grpc.ServicerContext
    ) -> policy_api.GetRolloutResponse:
        """Shows the rollout in force."""
        method = "sendwise.v1.PolicyService/GetRollout"
        return self._calls.answer(method, self._get_rollout, request, context)

    def SetRollout(  # noqa: N802 - the name on the wire
        self, request: policy_api.SetRolloutRequest, context: grpc.ServicerContext
    ) -> policy_api.SetRolloutResponse:
        """Replaces the rollout."""
        method = "sendwise.v1.PolicyService/SetRollout"
        caller = self._calls.caller(context)
        return self._calls.answer(
            method, lambda asked: self._set_rollout(asked, caller), request, context
        )

    def Explain(  # noqa: N802 - the name on the wire
        self, request: policy_api.ExplainRequest, context: grpc.ServicerContext
    ) -> policy_api.ExplainResponse:
        """Explains a stored decision."""
        method = "sendwise.v1.PolicyService/Explain"
        return self._calls.answer(method, self._explain, request, context)

    def _get_rollout(self, _request: policy_api.GetRolloutRequest) -> policy_api.GetRolloutResponse:
        return policy_api.GetRolloutResponse(rollout=rollout_of(self._releases.present()))

    def _set_rollout(
        self, request: policy_api.SetRolloutRequest, caller: str
    ) -> policy_api.SetRolloutResponse:
        note = partial(self._engine.note_rollout, caller=caller)
        arms = arms_of(request.arms)
        rollout = self._releases.set_arms(arms, request.expected_sequence, note)
        return policy_api.SetRolloutResponse(rollout=rollout_of(rollout))

    def _explain(self, request: policy_api.ExplainRequest) -> policy_api.ExplainResponse:
        stages, exact = self._engine.explain_stored(from_text(request.decision_id))
        return policy_api.ExplainResponse(explanation=explanation_of(stages), exact=exact)


def register(
    server: grpc.Server,
    engine: Engine,
    calls: Calls,
    releases: Releases,
    clock_ms: Callable[[], int],
) -> None:
    """Adds the services that decide and learn to a server; `privacy_servicer` adds its own."""
    services = reading(server)
    decision_grpc.add_DecisionServiceServicer_to_server(DecisionServicer(engine, calls), services)
    feedback = FeedbackServicer(engine, calls, clock_ms)
    feedback_grpc.add_FeedbackServiceServicer_to_server(feedback, services)
    policy = PolicyServicer(engine, calls, releases)
    policy_grpc.add_PolicyServiceServicer_to_server(policy, services)


def _ask_of_stream(message: decision_api.StreamDecideRequest) -> Ask:
    return ask_of(readable(message).request)


def _decide_result(answer: Answer | Exception) -> decision_api.DecideResult:
    if isinstance(answer, Exception):
        return decision_api.DecideResult(error=status_of(answer))
    return decision_api.DecideResult(response=response_of(answer))


def _omit_explanations(results: Sequence[decision_api.DecideResult]) -> None:
    """Leaves out what would make an answer too large: its decisions are stored and must be told."""
    size = 0
    for result in results:
        response, added = result.response, result.ByteSize()
        is_explained = response.HasField("explanation") or response.suppressions
        if is_explained and size + added > EXPLAINED_BYTES_MAX:
            response.ClearField("explanation")
            response.ClearField("suppressions")
            response.explanation_omitted = True
            added = result.ByteSize()
        size += added


def _reward_result(outcome: ReportOutcome | Exception) -> feedback_api.ReportRewardResult:
    if isinstance(outcome, Exception):
        return feedback_api.ReportRewardResult(error=status_of(outcome))
    response = feedback_api.ReportRewardResponse(outcome=_outcome(outcome))
    return feedback_api.ReportRewardResult(response=response)


def _outcome(outcome: ReportOutcome | Exception) -> feedback_api.ReportOutcome.ValueType:
    if isinstance(outcome, Exception):
        raise outcome
    return feedback_api.ReportOutcome.ValueType(outcome)


def _attempt(convert: Callable[[_Message], _Value], message: _Message) -> _Value | Exception:
    """A converted message, or what kept it from being one: the rest of its batch goes on."""
    try:
        return convert(message)
    except Exception as error:  # noqa: BLE001 - status_of logs what it does not know
        return error


def _check_batch(entries: Sequence[object]) -> None:
    if not 1 <= len(entries) <= BATCH_MAX:
        raise BatchSizeError(len(entries), BATCH_MAX)


def _raise(error: Exception) -> NoReturn:
    raise error


def _code(status: Status) -> grpc.StatusCode:
    return next(code for code in grpc.StatusCode if code.value[0] == status.code)


def _abort(context: grpc.ServicerContext, status: Status) -> NoReturn:
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort_with_status raises")
