"""Sets the room of readers aside when a log is begun.

LMDB has a table of those who read, in a file that every process maps. It grows by a page with each
64 readers; where the disk is full by then, there is no error that LMDB could return: the system
kills the process that reads (SIGBUS).
"""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from decisionlog.owners import give_as

LOCK_FILE: Final = "lock.mdb"

_HEADER_BYTES: Final = 192
_READER_BYTES: Final = 64


def set_aside(directory: Path, readers: int) -> None:
    """Make LMDB's table of readers with all its room, unless it is there.

    It appears whole, so that another process that opens the log meanwhile never sees a part of it.

    Args:
        directory: LMDB's.
        readers: The most that can read at once; LMDB takes the number from the size of the file.

    Raises:
        OSError: There is no room, or the directory cannot be written.
    """
    if (directory / LOCK_FILE).exists():
        return
    with NamedTemporaryFile(dir=directory, prefix=f".{LOCK_FILE}-") as file:
        give_as(file.fileno(), directory)
        os.posix_fallocate(file.fileno(), 0, _HEADER_BYTES + (readers - 1) * _READER_BYTES)
        # Another process may have been faster, or the file system has no links: LMDB's own will do.
        with suppress(OSError):
            os.link(file.name, directory / LOCK_FILE)
