"""The port that the workers share and no other server may have."""

import socket
from contextlib import closing

import pytest

from server.address import held, shown
from server.serve_errors import AddressError


def worker_socket(port: int) -> socket.socket:
    """A listening socket such as gRPC makes."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    return listener


def test_workers_can_listen_on_what_is_held() -> None:
    """Several of them, and calls reach them rather than the holder."""
    with held("127.0.0.1", 0) as port, closing(worker_socket(port)), closing(worker_socket(port)):
        socket.create_connection(("127.0.0.1", port)).close()


def test_a_holder_alone_takes_no_connection() -> None:
    """While the workers start, callers are refused rather than left waiting."""
    with held("127.0.0.1", 0) as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_what_is_held_cannot_be_held_again() -> None:
    """Before the first worker listens, and after."""
    with held("127.0.0.1", 0) as port:
        with pytest.raises(AddressError, match="already in use"), held("127.0.0.1", port):
            pass
        with closing(worker_socket(port)):
            with pytest.raises(AddressError) as refusal, held("127.0.0.1", port):
                pass
            assert (refusal.value.host, refusal.value.port) == ("127.0.0.1", port)


def test_connections_of_an_earlier_server_do_not_matter() -> None:
    """A restart need not wait for the kernel to forget them."""
    with held("127.0.0.1", 0) as port, closing(worker_socket(port)) as listener:
        client = socket.create_connection(("127.0.0.1", port))
        listener.accept()[0].close()  # the side that closes first is the one that lingers
        client.close()
    with held("127.0.0.1", port) as again:
        assert again == port


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_a_host_that_is_not_ours_is_refused(host: str) -> None:
    """Neither a name that means nothing nor another machine's address will do."""
    with pytest.raises(AddressError, match="choose another host or port"), held(host, 0):
        pass


def test_addresses_are_shown_as_clients_write_them() -> None:
    """IPv6 addresses stand in brackets before a port."""
    assert shown("127.0.0.1", 1) == "127.0.0.1:1"
    assert shown("::1", 1) == "[::1]:1"
