"""Messages that are none are refused as other mistakes of callers are."""

from collections.abc import Iterator
from typing import Any

import pytest

from sendwise.v1 import decision_service_pb2 as decision_api
from tests.server.service import Service, nothing_stored, refusal_of, refused, request, running

CUT = b"\x0a\xff"  # the length of a field is missing
NOT_UTF8 = b"\x0a\x02\xff\xfe"
ONE_ANSWER = {
    "DecisionService": ["Decide", "BatchDecide"],
    "FeedbackService": ["ReportDelivery", "ReportReward", "BatchReportRewards"],
    "PolicyService": ["GetRollout", "SetRollout", "Explain"],
    "PrivacyService": ["EraseSubject"],
}
METHODS = [(service, method) for service, methods in ONE_ANSWER.items() for method in methods]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service for all damaged messages: none of them leaves anything behind."""
    with running(tmp_path_factory.mktemp("unreadable") / "data") as found:
        yield found


def check(service: Service, name: str, call: Any, content: bytes) -> None:  # noqa: ANN401 - gRPC's
    """Sends it and looks at the refusal."""
    with nothing_stored(service.log):
        found = refused(lambda: call(content))
    assert (found.code.name, found.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert found.metadata["field"] == "request"
    assert f"sendwise.v1.{name}Request" in found.metadata["problem"]


@pytest.mark.parametrize(("group", "method"), METHODS)
def test_a_damaged_message_is_refused(
    service: Service, caplog: pytest.LogCaptureFixture, group: str, method: str
) -> None:
    """With a reason that blames the caller; the server's log holds no stack trace of it."""
    call: Any = service.channel.unary_unary(f"/sendwise.v1.{group}/{method}")
    check(service, method, call, CUT)
    assert not caplog.records


def test_text_has_to_be_utf_8(service: Service) -> None:
    """A client that encodes otherwise is told so."""
    call: Any = service.channel.unary_unary("/sendwise.v1.DecisionService/Decide")
    check(service, "Decide", call, NOT_UTF8)


def test_an_answer_in_parts_is_refused_as_well(service: Service) -> None:
    """`ExportSubject` answers by a stream."""
    call: Any = service.channel.unary_stream("/sendwise.v1.PrivacyService/ExportSubject")
    check(service, "ExportSubject", lambda content: list(call(content)), CUT)


def test_a_stream_goes_on_after_a_damaged_message(service: Service) -> None:
    """It alone gets an error; what came before and after it is answered."""
    call: Any = service.channel.stream_stream(
        "/sendwise.v1.DecisionService/StreamDecide",
        response_deserializer=decision_api.StreamDecideResponse.FromString,
    )
    sound = decision_api.StreamDecideRequest(request=request()).SerializeToString()
    answers = [answer.result for answer in call(iter([sound, CUT, sound]))]
    assert [answer.WhichOneof("result") for answer in answers] == ["response", "error", "response"]
    assert refusal_of(answers[1].error).metadata["field"] == "request"
