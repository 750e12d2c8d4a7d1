"""Policies that somebody else wrote, by `module:Class`."""

import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from policy.policies import FloatArray, Policy
from policy.situation import Path as Choices
from policy.situation import Situation
from replay.simulator.errors import UnusableLearnerError

NEEDED = ("pmf", "values", "version")
SUM_TOLERANCE = 1e-6


def own_policy(spec: str) -> Policy:
    """Makes a policy of a class that is importable from the working directory.

    Args:
        spec: `module:Class`, such as `ours:Cautious` or `pricing.policies:Cautious`; the class is
            called without arguments.

    Raises:
        UnusableLearnerError: if there is no such module or class, if one of them raises, or if what
            was made lacks a part of `policy.policies.Policy`.
    """
    made: Policy = made_of(spec)
    missing = [name for name in NEEDED if not hasattr(made, name)]
    if missing:
        raise UnusableLearnerError(spec, f"a policy has {', '.join(missing)} as well")
    return made


def checked_pmf(policy: Policy, spec: str, situation: Situation, path: Choices) -> FloatArray:
    """What somebody's policy answers, if it is a pmf.

    Raises:
        UnusableLearnerError: if it raises, or if what it gives is no pmf of what is eligible.
    """
    try:
        pmf = np.asarray(policy.pmf(situation, path), dtype=np.float64)
    except Exception as error:  # whatever somebody's class raises
        problem = f"its pmf raised {type(error).__name__}: {error}"
        raise UnusableLearnerError(spec, problem) from error
    if wrong := _problem(pmf, situation.count(path)):
        raise UnusableLearnerError(spec, f"its pmf after {path} {wrong}")
    return pmf


def made_of(spec: str) -> Any:  # noqa: ANN401 - whatever it makes
    """Calls a class that is importable from the working directory.

    Raises:
        UnusableLearnerError: if there is no such module or class, or if one of them raises.
    """
    return _called(spec, _found(spec))


def _found(spec: str) -> Callable[[], Policy]:
    module_name, _, name = spec.partition(":")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = import_module(module_name)
    except Exception as error:  # whatever somebody's module raises
        problem = f"importing {module_name!r} raised {type(error).__name__}: {error}"
        raise UnusableLearnerError(spec, problem) from error
    found: Callable[[], Policy] | None = getattr(module, name, None)
    if not callable(found):
        raise UnusableLearnerError(spec, f"{module_name!r} has no class {name!r}")
    return found


def _called(spec: str, make: Callable[[], Policy]) -> Policy:
    try:
        return make()
    except Exception as error:  # whatever somebody's class raises
        problem = f"calling it raised {type(error).__name__}: {error}"
        raise UnusableLearnerError(spec, problem) from error


def _problem(pmf: FloatArray, count: int) -> str | None:
    if pmf.shape != (count,):
        return f"has the shape {pmf.shape}, but {count} actions are eligible"
    if not (np.isfinite(pmf).all() and (pmf >= 0.0).all()):
        return "has a probability that is negative or no number"
    if abs(float(pmf.sum()) - 1.0) > SUM_TOLERANCE:
        return f"sums to {float(pmf.sum()):.6g}, not 1"
    return None
