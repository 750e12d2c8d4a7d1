"""Policies to evaluate on logs of decision-service JSON, by name."""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from replay.dsjson.lines import Draw
from replay.dsjson.model import VwModel
from replay.errors import SettingError
from replay.simulator.errors import UnusableLearnerError
from replay.simulator.own import made_of

LOGGING, UNIFORM = "logging", "uniform"
SUM_TOLERANCE = 1e-3
ACTIONS_SHOWN = 20
_FIXED = re.compile(r"action/(\d+)")
FORMS = (
    "`logging`, `uniform`, `action/NUMBER` (as _label_Action counts), `vw:MODEL_FILE`, module:Class"
)

Pmf = Callable[[Draw], Sequence[float]]
"""Probability of each action of a draw, in the order of `Draw.actions`."""


class UnknownTargetError(SettingError):
    """No policy for such logs has this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"on a dsjson log there is no policy {name!r}; there are {FORMS}")
        self.name = name


class UnknownActionError(SettingError):
    """No line could take an action."""

    def __init__(self, name: str, known: Collection[int]) -> None:
        shown = ", ".join(str(action) for action in sorted(known)[:ACTIONS_SHOWN])
        more = ", …" if len(known) > ACTIONS_SHOWN else ""
        super().__init__(f"no line could take {name}; there are {shown}{more}")
        self.name = name
        self.known = known


def need_actions(names: Iterable[str], known: Collection[int]) -> None:
    """Makes sure that the policies which always take one action were able to.

    Args:
        names: of all policies.
        known: the actions of all lines.

    Raises:
        UnknownActionError: if one was not, and would have been even chances on every line.
    """
    for name in names:
        found = _FIXED.fullmatch(name)
        if found and int(found[1]) not in known:
            raise UnknownActionError(name, known)


def target_of(name: str) -> Pmf:
    """The policy of a name.

    Raises:
        UnknownTargetError: if there is none.
        UnusableLearnerError: if a class cannot be imported or made.
        BadModelError: if a file holds no model of Vowpal Wabbit's that can choose.
    """
    if name == LOGGING:
        return lambda draw: draw.pmf
    if name == UNIFORM:
        return lambda draw: _even(len(draw.actions))
    if found := _FIXED.fullmatch(name):
        return _fixed(int(found[1]))
    if name.startswith("vw:"):
        return VwModel(Path(name.removeprefix("vw:"))).pmf
    if ":" in name:
        return _own(name)
    raise UnknownTargetError(name)


def _even(count: int) -> list[float]:
    return [1.0 / count] * count


def _fixed(action: int) -> Pmf:
    """Always one action; even chances where it is not among them."""

    def pmf(draw: Draw) -> Sequence[float]:
        if action not in draw.actions:
            return _even(len(draw.actions))
        return [float(one == action) for one in draw.actions]

    return pmf


def _own(spec: str) -> Pmf:
    """A class with `pmf(event, actions, slot)`, which is checked to give a pmf."""
    made: Any = made_of(spec)
    if not hasattr(made, "pmf"):
        raise UnusableLearnerError(spec, "a policy has pmf(event, actions, slot)")

    def pmf(draw: Draw) -> Sequence[float]:
        try:
            found = np.asarray(made.pmf(draw.event, draw.actions, draw.slot), dtype=np.float64)
        except Exception as error:  # whatever somebody's class raises
            problem = f"its pmf raised {type(error).__name__}: {error}"
            raise UnusableLearnerError(spec, problem) from error
        if found.shape != (len(draw.actions),) or not (
            (found >= 0).all() and abs(found.sum() - 1) < SUM_TOLERANCE
        ):
            problem = f"what it gave for {len(draw.actions)} actions is no pmf of them: {found}"
            raise UnusableLearnerError(spec, problem)
        return [min(float(one), 1.0) for one in found]

    return pmf
