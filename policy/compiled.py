"""Compiles the loops over a model's weights; the one module that knows Numba."""

import logging
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
from numba.core import event

_log = logging.getLogger(__name__)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Compiles a function on its first call, and keeps the code for other processes.

    Sums stay in the order in which they are written, and nothing is fused: the same bits on every
    processor of a kind, so that probabilities can be recomputed.
    """
    found = numba.njit(function, cache=_IS_KEPT, error_model="numpy")
    return cast("Callable[_Arguments, _Result]", found)


def inner(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The same for a function that only compiled code calls: there is less to compile."""
    no_wrappers: Any = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    found = numba.njit(function, cache=_IS_KEPT, error_model="numpy", **no_wrappers)
    return cast("Callable[_Arguments, _Result]", found)


def leaf(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """The same for one that makes no array, nor gives one back: a part of what calls it.

    It counts no references to arrays, which belong to the caller and outlive the call; and it is
    no call: a dozen arrays take some forty numbers to pass on, more than a few tokens to sum up.
    """
    bare: Any = {
        "no_cpython_wrapper": True,
        "no_cfunc_wrapper": True,
        "_nrt": False,
        "forceinline": True,
    }
    found = numba.njit(function, cache=_IS_KEPT, error_model="numpy", **bare)
    return cast("Callable[_Arguments, _Result]", found)


def _keep() -> bool:
    """Tells Numba where to keep code; not, if there is no place to write to.

    Numba looks at the file of a function alone, and would go on with old code if one that it calls
    has changed. So each state of this package has a directory of its own.
    """
    here = Path(__file__).parent
    digest = blake2b(digest_size=8)
    for path in sorted(here.glob("*.py")):
        digest.update(path.read_bytes())
    caches = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))  # noqa: PTH111
    for base in (here / "__pycache__", caches / "sendwise"):
        directory = base / f"compiled-{digest.hexdigest()}"
        if not directory.is_absolute():  # nobody's home
            continue
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(directory, os.W_OK):
            setattr(numba.config, "CACHE_DIR", str(directory))  # noqa: B010 - it has no type
            return True
    return False


class Notice(event.Listener):
    """Says once that something is compiled, and for how long: long enough to wonder."""

    def __init__(self) -> None:
        self._is_said = False

    def on_start(self, _event: object) -> None:
        """Numba begins to compile a function; code that was kept gets none of this."""
        if not self._is_said:
            how_often = "once" if _IS_KEPT else "at each start: no directory can keep the code"
            _log.info(
                "compiling for this processor, which takes up to half a minute, %s", how_often
            )
            self._is_said = True

    def on_end(self, _event: object) -> None:
        """What takes long has been said."""


_IS_KEPT = _keep()
event.register("numba:compile", Notice())  # type: ignore[no-untyped-call] # Numba has few types
