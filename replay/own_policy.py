"""A class of somebody's own as a target of evaluation: what it answers is checked every time."""

from policy.policies import FloatArray
from policy.situation import Path, Situation
from replay.simulator.own import checked_pmf, own_policy


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
        return checked_pmf(self._policy, self.version, situation, path)

    def values(self, situation: Situation, path: Path) -> FloatArray | None:
        """See `Policy`."""
        return self._policy.values(situation, path)


def is_own(version: str) -> bool:
    """Whether a version names a class: no other version has a colon."""
    return ":" in version
