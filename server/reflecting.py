"""The standard reflection service, which keeps no call waiting."""

from collections.abc import Iterator
from contextlib import ExitStack

import grpc
from grpc_health.v1 import health
from grpc_reflection.v1alpha import reflection, reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from server.errors import status_of
from server.refusals import TooManyStreamsError
from server.servicers import SERVICES
from server.streams import StreamSlots

REFLECTIONS_MAX = 1
"""Streams of a worker that reflect at a time: they bring no token, and may say nothing."""


class _Servicer:
    def __init__(self, slots: StreamSlots) -> None:
        names = (*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME)
        self._standard = reflection.ReflectionServicer(names)
        self._slots = slots
        self._own = StreamSlots(REFLECTIONS_MAX)

    def ServerReflectionInfo(  # noqa: N802 - the name on the wire
        self,
        request_iterator: Iterator[reflection_pb2.ServerReflectionRequest],
        context: grpc.ServicerContext,
    ) -> Iterator[reflection_pb2.ServerReflectionResponse]:
        """Answers one stream at a time, in the place of one that decides."""
        with ExitStack() as stack:
            try:
                stack.enter_context(self._own.held())
                stack.enter_context(self._slots.held())
            except TooManyStreamsError as error:
                context.abort_with_status(rpc_status.to_status(status_of(error)))
            yield from self._standard.ServerReflectionInfo(request_iterator, context)


def register_reflection(server: grpc.Server, slots: StreamSlots) -> None:
    """Adds the service to a server."""
    servicer = _Servicer(slots)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(servicer, server)
