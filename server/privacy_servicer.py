"""The gRPC service of a subject's rights to its data."""

from collections.abc import Iterator
from functools import partial
from itertools import islice

import grpc

from sendwise.v1 import privacy_service_pb2 as privacy_api
from sendwise.v1 import privacy_service_pb2_grpc as privacy_grpc
from server.converters import subject_of, timestamp_of
from server.privacy import Privacy
from server.servicers import Calls
from server.unreadable import reading

GROUP_MAX = 100
"""Items that are read before they are sent."""

_Items = Iterator[tuple[str, str]]


class PrivacyServicer(privacy_grpc.PrivacyServiceServicer):
    """Erases subjects, and hands over what is held of them."""

    def __init__(self, privacy: Privacy, calls: Calls) -> None:
        self._privacy = privacy
        self._calls = calls

    def EraseSubject(  # noqa: N802 - the name on the wire
        self, request: privacy_api.EraseSubjectRequest, context: grpc.ServicerContext
    ) -> privacy_api.EraseSubjectResponse:
        """Erases a subject, in the place of a stream: it holds a thread for as long as a pass."""
        method = "sendwise.v1.PrivacyService/EraseSubject"
        with self._calls.stream(method, context):
            erase = partial(self._erase, self._calls.caller(context))
            return self._calls.answer(method, erase, request, context)

    def ExportSubject(  # noqa: N802 - the name on the wire
        self, request: privacy_api.ExportSubjectRequest, context: grpc.ServicerContext
    ) -> Iterator[privacy_api.ExportSubjectResponse]:
        """Hands over what is held of a subject, some items at a time."""
        method = "sendwise.v1.PrivacyService/ExportSubject"
        with self._calls.stream(method, context):
            held = partial(self._held, self._calls.caller(context))
            items = self._calls.answer(method, held, request, context)
            while group := self._calls.answer(method, _group, items, context):
                yield from group

    def _erase(
        self, caller: str, request: privacy_api.EraseSubjectRequest
    ) -> privacy_api.EraseSubjectResponse:
        found = self._privacy.erase(subject_of(request.subject_id), caller)
        return privacy_api.EraseSubjectResponse(
            erased_at=timestamp_of(found.tombstone.erased_at_ms),
            decisions=found.removed.decisions,
            deliveries=found.removed.deliveries,
            rewards=found.removed.rewards,
            unreadable=found.unreadable,
        )

    def _held(self, caller: str, request: privacy_api.ExportSubjectRequest) -> _Items:
        return self._privacy.held(subject_of(request.subject_id), caller)


def register_privacy(server: grpc.Server, privacy: Privacy, calls: Calls) -> None:
    """Adds the service to a server."""
    servicer = PrivacyServicer(privacy, calls)
    privacy_grpc.add_PrivacyServiceServicer_to_server(servicer, reading(server))


def _group(items: _Items) -> list[privacy_api.ExportSubjectResponse]:
    return [
        privacy_api.ExportSubjectResponse(kind=kind, json=text)
        for kind, text in islice(items, GROUP_MAX)
    ]
