"""Compiles the loops over a model's weights; the one module that knows Numba."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def compiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Compiles a function on its first call, and keeps the code beside it where it may write.

    Sums stay in the order in which they are written, and nothing is fused: the same bits on every
    processor of a kind, so that probabilities can be recomputed.
    """
    try:
        found = numba.njit(function, cache=True, error_model="numpy")
    except RuntimeError:  # no directory to keep it in: every process compiles
        found = numba.njit(function, error_model="numpy")
    return cast("Callable[_Arguments, _Result]", found)
