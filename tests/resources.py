"""What this process uses, for tests of leaks."""

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def held_bytes(work: Callable[[], object]) -> int:
    """Memory of Python's own that is still held after some work, caches included."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
