"""A class of somebody's own as a target of evaluation: what it answers is checked every time."""

import numpy as np

from policy.policies import FloatArray
from policy.situation import Path, Situation
from replay.simulator.errors import UnusableLearnerError
from replay.simulator.own import own_policy

SUM_TOLERANCE = 1e-6


class OwnPolicy:
    """Asks somebody's policy, and passes on nothing that is no pmf."""

    def __init__(self, spec: str) -> None:
        """Makes it.

        Args:
            spec: `module:Class`, see `own_policy`.

        Raises:
            UnusableLearnerError: if it cannot be imported or made.
        """
        self.version = spec
        self._policy = own_policy(spec)

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`.

        Raises:
            UnusableLearnerError: if it raises, or if what it gives is no pmf of what is eligible.
        """
        try:
            pmf = np.asarray(self._policy.pmf(situation, path), dtype=np.float64)
        except Exception as error:  # whatever somebody's class raises
            problem = f"its pmf raised {type(error).__name__}: {error}"
            raise UnusableLearnerError(self.version, problem) from error
        if wrong := _problem(pmf, situation.count(path)):
            raise UnusableLearnerError(self.version, f"its pmf after {path} {wrong}")
        return pmf

    def values(self, situation: Situation, path: Path) -> FloatArray | None:
        """See `Policy`."""
        return self._policy.values(situation, path)


def is_own(version: str) -> bool:
    """Whether a version names a class: no other version has a colon."""
    return ":" in version


def _problem(pmf: FloatArray, count: int) -> str | None:
    if pmf.shape != (count,):
        return f"has the shape {pmf.shape}, but {count} actions are eligible"
    if not (np.isfinite(pmf).all() and (pmf >= 0.0).all()):
        return "has a probability that is negative or no number"
    if abs(float(pmf.sum()) - 1.0) > SUM_TOLERANCE:
        return f"sums to {float(pmf.sum()):.6g}, not 1"
    return None
