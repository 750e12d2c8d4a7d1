"""A worker without gRPC: keeps to the lifeline, writes down what it sees, and misbehaves on demand.

The environment's FAKE_WORKER says how: `good`, `crash` (exit code 3 at once), `config` (exit code
EX_CONFIG), `deaf` (never stops), `slow_to_stop` (takes a second), `stuck` (never gets ready),
`noisy` (prints before it is ready). FAKE_WORKER_INDEX limits that to one worker.
"""

import json
import os
import signal
import socket
import sys
import time

from server.lifeline import Lifeline
from server.settings import WorkerSettings


def main() -> int:
    """Lives the life of a worker; returns its exit code."""
    with Lifeline() as lifeline:
        settings = lifeline.settings()
        manner = manner_of(settings.index)
        write_down(settings, "start")
        if manner in {"crash", "config"}:
            return os.EX_CONFIG if manner == "config" else 3
        if manner == "stuck":
            signal.pause()
        if manner == "noisy":
            os.write(sys.stdout.fileno(), b"hello from a library\n")
        with listening(settings):
            lifeline.ready()
            lifeline.wait_for_stop()
            stop(manner)
        write_down(settings, "stop")
    return 0


def manner_of(index: int) -> str:
    """How this worker is to behave."""
    only = os.environ.get("FAKE_WORKER_INDEX", str(index))
    return os.environ.get("FAKE_WORKER", "good") if only == str(index) else "good"


def stop(manner: str) -> None:
    """Takes its time, if it is to."""
    if manner == "deaf":
        time.sleep(600)
    if manner == "slow_to_stop":
        time.sleep(1)


def listening(settings: WorkerSettings) -> socket.socket:
    """A socket on the shared port, as gRPC makes it."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((settings.host, settings.port))
    listener.listen()
    return listener


def write_down(settings: WorkerSettings, event: str) -> None:
    """Appends what the worker sees to the diary in the data directory."""
    entry = {
        "event": event,
        "index": settings.index,
        "pid": os.getpid(),
        "port": settings.port,
        "cores": sorted(os.sched_getaffinity(0)),
    }
    with (settings.data_dir / "diary").open("a") as diary:
        diary.write(json.dumps(entry) + "\n")


if __name__ == "__main__":
    sys.exit(main())
