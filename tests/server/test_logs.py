"""The process's own log."""

import io
import json
import logging
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server import logs

hostile = st.text() | st.just("two\nlines\r\x1b[31m\u2028end")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where the log goes; afterwards the root logger is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(level)


def written(stream: io.StringIO, log: Callable[[], None]) -> str:
    """What one act adds to the log."""
    start = stream.tell()
    log()
    return stream.getvalue()[start:]


@given(message=hostile, reason=hostile)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("form", ["text", "json"])
def test_an_event_is_one_line(form: str, message: str, reason: str, stream: io.StringIO) -> None:
    """Whatever comes from outside cannot forge a second one, nor steer a terminal."""
    logs.configure(form="json" if form == "json" else "text", worker=1, stream=stream)
    log = logging.getLogger("a")
    line = written(stream, lambda: log.error("%s", message, extra={"reason": reason}))
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert "\x1b" not in line


def test_json_carries_the_parts(stream: io.StringIO) -> None:
    """Time in UTC, severity, process, logger, message, the allowed fields, the traceback."""
    logs.configure(form="json", worker=3, stream=stream)
    try:
        raise ValueError("boom")  # noqa: TRY301 - to have a traceback
    except ValueError:
        logging.getLogger("server.x").exception("failed", extra={"method": "Decide"})
    parts = json.loads(stream.getvalue())
    assert parts.pop("time").endswith("Z")
    assert parts.pop("exception").endswith("ValueError: boom")
    assert parts == {
        "level": "error",
        "process": "worker 3",
        "logger": "server.x",
        "message": "failed",
        "method": "Decide",
    }


def test_other_fields_are_not_written(stream: io.StringIO) -> None:
    """Only fields that are known to identify nobody get out."""
    logs.configure(form="json", stream=stream)
    extra = {"subject_id": "alice", "token": "t0p", "arm": "champion"}
    logging.getLogger("a").warning("decided", extra=extra)
    assert "alice" not in stream.getvalue()
    assert "t0p" not in stream.getvalue()
    assert json.loads(stream.getvalue())["arm"] == "champion"
    assert json.loads(stream.getvalue())["process"] == "supervisor"


def test_less_severe_events_are_left_out(stream: io.StringIO) -> None:
    """The level is the least that is written."""
    logs.configure(level="warning", stream=stream)
    logging.getLogger("a").info("quiet")
    logging.getLogger("a").warning("loud")
    assert "quiet" not in stream.getvalue()
    assert "warning supervisor a loud" in stream.getvalue()
