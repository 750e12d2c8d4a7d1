"""Where the `sendwise` program begins: in few lines, since somebody may press Ctrl-C at once."""

import sys

INTERRUPTED = 128 + 2
"""Exit code of a program that Ctrl-C (SIGINT) has ended, as shells have it."""


def run() -> None:
    """Runs the command line; Ctrl-C ends it without a word, also while it is still loading."""
    try:
        from cli.app import main  # noqa: PLC0415 - it takes a second, which has to be within reach

        main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
