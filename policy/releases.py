"""Puts catalogs and policies into force, and takes them back."""

from collections.abc import Callable
from datetime import datetime

from pydantic import ValidationError

from policy.catalog import Catalog
from policy.errors import InvalidRolloutError, UnknownRuleError, UnknownVersionError
from policy.policies import Uniform
from policy.registry import Registry
from policy.rollout import Arm, ArmShare, Note, Rollout, invalid


class Releases:
    """Changes the rollout of one registry; every change is a new rollout with the next sequence."""

    def __init__(self, registry: Registry, now: Callable[[], datetime]) -> None:
        self._registry = registry
        self._now = now

    def publish(self, text: str, source: str = "the catalog") -> Rollout:
        """Puts a catalog into force; the champion stays, or is uniform where there was none.

        Raises:
            CatalogError: if it is not valid.
            UnknownRuleError: if the champion is a rule that it does not allow.
        """
        catalog = self._registry.add_catalog(text, source)
        present = self._registry.rollout_file.read()
        if present and present.catalog == catalog.version:
            return present
        champion = present.champion if present else Uniform.version
        self._registry.policy_for(champion, catalog)
        return self._replace(present, catalog, champion)

    def promote(self, version: str) -> Rollout:
        """Makes a policy the champion.

        Raises:
            UnknownVersionError: if it is not registered.
            UnknownRuleError: if it is a rule that the catalog in force cannot follow.
            DamagedModelError: if it cannot be loaded.
        """
        present = self.present()
        catalog = self._registry.catalog(present.catalog)
        self._registry.policy_for(version, catalog)
        return self._replace(present, catalog, version)

    def rollback(self) -> Rollout:
        """Makes the last champion before the present one the champion again.

        Once more, it goes back further: what was rolled back does not come again by itself.

        Raises:
            InvalidRolloutError: if there was none.
        """
        self.present()
        *_, champion, _ = ("", *self._line())
        if not champion:
            raise InvalidRolloutError("there was no other champion to go back to")
        return self.promote(champion)

    def _line(self) -> list[str]:
        """The champions that led to the present one, which is the last: returns are undone."""
        line: list[str] = []
        for old in reversed(list(self._registry.rollout_file.history())):
            if old.champion in line:
                del line[line.index(old.champion) + 1 :]
            else:
                line.append(old.champion)
        return line

    def set_arms(
        self, arms: tuple[ArmShare, ...], expected_sequence: int, note: Note = lambda _: None
    ) -> Rollout:
        """Replaces the arms.

        Args:
            arms: come into force.
            expected_sequence: of the rollout that they replace.
            note: told of the new rollout just before it is in force; if it raises, it never is.

        Raises:
            InvalidRolloutError: if they contradict themselves or name what is not registered.
            RolloutChangedError: if another rollout is in force than expected.
        """
        catalog = self._registry.catalog(self.present().catalog)
        for share in arms:
            self._check_policy(share, catalog)
        return self._write(expected_sequence + 1, catalog.version, arms, note)

    def present(self) -> Rollout:
        """The rollout in force.

        Raises:
            InvalidRolloutError: if there is none yet.
        """
        present = self._registry.rollout_file.read()
        if present is None:
            raise InvalidRolloutError("nothing is in force yet; start `sendwise serve` first")
        return present

    def _check_policy(self, share: ArmShare, catalog: Catalog) -> None:
        try:
            if share.arm is not Arm.HOLDOUT:
                self._registry.policy_for(share.policy, catalog)
        except (UnknownVersionError, UnknownRuleError) as error:
            raise InvalidRolloutError(str(error)) from None

    def _replace(self, present: Rollout | None, catalog: Catalog, champion: str) -> Rollout:
        sequence = present.sequence if present else 0
        return self._write(sequence + 1, catalog.version, arms_of(catalog, champion))

    def _write(
        self, sequence: int, catalog: str, arms: tuple[ArmShare, ...], note: Note = lambda _: None
    ) -> Rollout:
        try:
            rollout = Rollout(sequence=sequence, catalog=catalog, arms=arms, updated_at=self._now())
        except ValidationError as error:
            raise invalid(error) from None
        self._registry.rollout_file.replace(rollout, note)
        return rollout


def arms_of(catalog: Catalog, champion: str) -> tuple[ArmShare, ...]:
    """The arms as the catalog shares the traffic; the champion gets the rest."""
    traffic = catalog.traffic
    shares = [
        ArmShare(arm=Arm.HOLDOUT, policy="", share=traffic.holdout),
        ArmShare(arm=Arm.RANDOM, policy=Uniform.version, share=traffic.random),
        ArmShare(arm=Arm.BASELINE, policy=_rule(catalog), share=traffic.baseline),
    ]
    rest = 1.0 - sum(share.share for share in shares)
    used = [share for share in shares if share.share > 0.0]
    return (ArmShare(arm=Arm.CHAMPION, policy=champion, share=max(rest, 0.0)), *used)


def _rule(catalog: Catalog) -> str:
    if catalog.baseline is None:
        return Uniform.version
    parts = ["fixed", catalog.baseline.offer, catalog.baseline.channel]
    return "/".join(part for part in parts if part)
