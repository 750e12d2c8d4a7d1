"""Holds the port that the workers share, and only if no other server has it."""

import contextlib
import socket
from collections.abc import Iterator

from server.serve_errors import AddressError


@contextlib.contextmanager
def held(host: str, port: int) -> Iterator[int]:
    """Binds the address without listening, so that workers may bind and listen on it as well.

    SO_REUSEPORT lets any two servers of one user share a port silently, each getting a part of
    the calls. So the socket is bound without it, which fails if anyone else has the port, and it
    is set afterwards: Linux looks at the present options of each holder when another binds.
    SO_REUSEADDR only steps over connections of an earlier server that the kernel still closes.

    Args:
        host: Name or address of an interface of this machine.
        port: 0 takes a free one.

    Yields:
        The port.

    Raises:
        AddressError: if the address cannot be had.
    """
    with _bound(host, port) as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        yield holder.getsockname()[1]


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        holder = socket.socket(family, kind, protocol)
    except OSError as error:
        raise AddressError(host, port, error.strerror or str(error)) from None
    try:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(address)
    except OSError as error:
        holder.close()
        raise AddressError(host, port, error.strerror or str(error)) from None
    return holder


def shown(host: str, port: int) -> str:
    """The address as clients write it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
