"""Tells a full disk from a broken one."""

import errno
import shutil
from pathlib import Path
from typing import Final

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_ROOM_LEFT_BYTES: Final = 1024 * 1024


def is_no_room(code: int, path: Path) -> bool:
    """Tell whether an error of the operating system means that there is no room.

    Args:
        code: Its number. LMDB reports a write that a full disk cut short as EIO.
        path: On the disk.
    """
    if code == errno.EIO:
        return shutil.disk_usage(path).free < _NO_ROOM_LEFT_BYTES
    return code in _NO_ROOM
