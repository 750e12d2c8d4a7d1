"""The process's own log on stderr: one line an event, as text or JSON, with the worker's number.

What identifies a customer or opens a door has no place here. Records may carry extra fields, but
only those named in `FIELDS` are written.
"""

import json
import logging
import sys
import time
from typing import Literal, TextIO

FIELDS = ("arm", "code", "decision_id", "method", "policy_version", "reason")
"""Extra fields of a record that are written."""


def configure(
    *,
    level: str = "info",
    form: Literal["text", "json"] = "text",
    worker: int | None = None,
    stream: TextIO | None = None,
) -> None:
    """Sends all records of this process to `stream`; replaces an earlier configuration.

    Args:
        level: Least severity written: debug, info, warning or error.
        form: `text` for people, `json` for a log store.
        worker: Number of the worker; None for the supervisor.
        stream: Standard error by default.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = JsonFormatter if form == "json" else TextFormatter
    handler.setFormatter(formatter(worker))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class LineFormatter(logging.Formatter):
    """What both forms share."""

    def __init__(self, worker: int | None) -> None:
        super().__init__()
        self._process = "supervisor" if worker is None else f"worker {worker}"

    def parts(self, record: logging.LogRecord) -> dict[str, str]:
        """The record as names and texts, in the order in which they are written."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        parts = {
            "time": f"{moment}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        parts |= {name: str(value) for name in FIELDS if (value := getattr(record, name, None))}
        if record.exc_info:
            parts["exception"] = self.formatException(record.exc_info)
        return parts


class JsonFormatter(LineFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a JSON object of texts, in ASCII, so that no line separator is left."""
        return json.dumps(self.parts(record))


class TextFormatter(LineFormatter):
    """One line of text: time, level, process, message, then what else there is as name=value."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text in which control characters are escaped, so that none is forged."""
        parts = self.parts(record)
        head = [parts.pop(name) for name in ("time", "level", "process", "logger", "message")]
        line = " ".join(head + [f"{name}={value}" for name, value in parts.items()])
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
