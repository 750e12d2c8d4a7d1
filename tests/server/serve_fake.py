"""Runs the real supervisor over fake workers, with limits that suit a test."""

import json
import sys
from pathlib import Path

from server import logs
from server.restarts import RestartRule
from server.serve_errors import ServeError
from server.settings import ServeSettings
from server.supervisor import Limits, serve

FAKE_WORKER = Path(__file__).with_name("fake_worker.py")


def main() -> int:
    """Takes settings and limits as two JSON objects; returns the exit code."""
    settings, limits = (json.loads(argument) for argument in sys.argv[1:])
    logs.configure()
    rule = RestartRule(first_delay_seconds=0.01)
    try:
        return serve(
            ServeSettings.create(**settings),
            command=(sys.executable, str(FAKE_WORKER)),
            limits=Limits(**limits, restart_rule=rule),
        )
    except ServeError as error:
        sys.stderr.write(f"sendwise: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
