"""What answers requests now: rollout, catalog and policies, swapped as one."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass

from policy.catalog import Catalog
from policy.errors import InvalidRolloutError, PolicyError
from policy.policies import Policy
from policy.registry import Registry
from policy.rollout import Arm, ArmShare, Rollout

POLL_SECONDS = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Serving:
    """One rollout with everything that it names, loaded."""

    rollout: Rollout
    catalog: Catalog
    policies: Mapping[str, Policy]
    """By version; the holdout has none."""

    def answering(self, subject: bytes) -> tuple[ArmShare, Policy | None]:
        """The arm of a subject and its policy; None in the holdout."""
        share = self.rollout.arm_of(subject)
        return share, None if share.arm is Arm.HOLDOUT else self.policies[share.policy]


class Current:
    """Follows the rollout file: calls in flight finish with what they began with."""

    def __init__(self, registry: Registry) -> None:
        """Loads the rollout in force.

        Raises:
            PolicyError: if there is none, or if it cannot be loaded.
        """
        self._registry = registry
        self._file = registry.rollout_file
        self._stamp = self._file.stamp()
        self._serving = self._load({})
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="rollout", daemon=True)

    def __call__(self) -> Serving:
        """What answers now."""
        return self._serving

    def start(self) -> None:
        """Looks for a new rollout, five times a second."""
        self._thread.start()

    def stop(self) -> None:
        """Stops looking."""
        self._stop.set()
        self._thread.join()

    def refresh(self) -> None:
        """Takes up a new rollout, if there is one that can be loaded."""
        stamp = self._file.stamp()
        if stamp == self._stamp:
            return
        try:
            self._serving = self._load(self._serving.policies)
        except PolicyError:
            _log.exception("the new rollout cannot be loaded; the one before stays in force")
        else:
            rollout = self._serving.rollout
            _log.info("rollout %d is in force, champion %s", rollout.sequence, rollout.champion)
        # Only now: what failed for another reason, such as a busy disk, is tried again.
        self._stamp = stamp

    def _follow(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - following must not end
                _log.exception("the rollout file cannot be read; trying again")

    def _load(self, loaded: Mapping[str, Policy]) -> Serving:
        rollout = self._file.read()
        if rollout is None:
            raise InvalidRolloutError("nothing is in force yet; start `sendwise serve` first")
        versions = {share.policy for share in rollout.arms if share.arm is not Arm.HOLDOUT}
        policies = {
            version: loaded.get(version) or self._registry.policy(version) for version in versions
        }
        return Serving(rollout, self._registry.catalog(rollout.catalog), policies)
