"""Messages that are none become errors with a reason; gRPC's own would blame the server."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError

from policy.errors import RequestError

_Message = TypeVar("_Message")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Stands in the place of a message that could not be read."""

    name: str
    """The type that it should have had, such as `sendwise.v1.DecideRequest`."""


def readable(message: _Message) -> _Message:
    """The message, if it is one.

    Raises:
        RequestError: INVALID_FIELD of the request as a whole.
    """
    if isinstance(message, Unreadable):
        problem = f"is not a {message.name}: it was damaged, or a text in it is not UTF-8"
        raise RequestError("INVALID_FIELD", "request", problem)
    return message


def reading(server: grpc.Server) -> grpc.Server:
    """Where services are added, so that what they cannot read comes to them as `Unreadable`.

    Left to itself gRPC answers INTERNAL without a reason, and writes a stack trace for each such
    message to the server's log.
    """
    return cast("grpc.Server", _Reading(server))


class _Reading:
    def __init__(self, server: grpc.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Needs nothing: the same methods are registered by name."""

    def add_registered_method_handlers(self, service: str, methods: Mapping[str, Any]) -> None:
        """Adds a service's methods."""
        tolerant = {name: _tolerant(method) for name, method in methods.items()}
        self._server.add_registered_method_handlers(service, tolerant)


def _tolerant(method: Any) -> Any:  # noqa: ANN401 - gRPC does not name the type
    return method._replace(request_deserializer=_reader(method.request_deserializer))


def _reader(parse: Callable[[bytes], Any]) -> Callable[[bytes], object]:
    def read(content: bytes) -> object:
        try:
            return parse(content)
        except DecodeError:
            return Unreadable(parse.__self__.DESCRIPTOR.full_name)  # type: ignore[attr-defined]

    return read
