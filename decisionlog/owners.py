"""Files that a command of the superuser makes belong to whom their place belongs.

Whoever erased a subject or changed a key by `sudo` would else lock the service out of its files.
"""

import os
from pathlib import Path


def give_as(descriptor: int, like: Path) -> None:
    """Let a file belong to whom another file or a directory belongs.

    Args:
        descriptor: Of the file.
        like: The other one; it must be there.
    """
    if os.geteuid() == 0:
        owner = like.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
