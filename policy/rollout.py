"""The rollout: which policy answers which share of the subjects, in one file."""

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import IntEnum
from math import fsum
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from policy.draw import hashed
from policy.errors import InvalidRolloutError, RolloutChangedError
from policy.files import write_atomically
from policy.places import dotted


class Arm(IntEnum):
    """Why a policy answers; numbered as `sendwise.v1.Arm`."""

    CHAMPION = 1
    CANARY = 2
    HOLDOUT = 3
    RANDOM = 4
    BASELINE = 5


# In this order the arms divide the subjects. The champion comes last and the canary beside it, so
# that a growing canary takes subjects from the champion alone.
_ORDER = (Arm.HOLDOUT, Arm.BASELINE, Arm.RANDOM, Arm.CANARY, Arm.CHAMPION)
_SUM_TOLERANCE = 1e-9


HOLDOUT_VERSION = "holdout"
"""What decisions of the holdout have in place of a policy's version."""


class ArmShare(BaseModel):
    """The traffic that one arm takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    arm: Arm
    policy: str
    """Version of the policy; empty for the holdout, which gets nothing."""
    share: float = Field(ge=0.0, le=1.0)


class Rollout(BaseModel):
    """Everything that decides how a request is answered."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    schema_version: Literal[1] = Field(default=1, alias="schema")
    sequence: int = Field(ge=1, lt=2**63)
    """Counts up by one with every change."""
    catalog: str
    """Version of the catalog in force."""
    arms: tuple[ArmShare, ...]
    updated_at: datetime

    @model_validator(mode="after")
    def _whole(self) -> Self:
        arms = [share.arm for share in self.arms]
        if len(set(arms)) != len(arms):
            raise ValueError("an arm is named twice")
        if Arm.CHAMPION not in arms:
            raise ValueError("there is no champion")
        for share in self.arms:
            if not share.policy and share.arm is not Arm.HOLDOUT:
                raise ValueError(f"the arm {share.arm.name.lower()} has no policy")
        total = fsum(share.share for share in self.arms)
        if abs(total - 1.0) > _SUM_TOLERANCE:
            raise ValueError(f"the shares sum to {total}, not 1")
        return self

    @property
    def champion(self) -> str:
        """Version of the policy in force."""
        return next(share.policy for share in self.arms if share.arm is Arm.CHAMPION)

    def arm_of(self, subject: bytes) -> ArmShare:
        """The arm of a subject: stable, and independent of every other draw."""
        draw, passed = hashed(subject, "arm"), 0.0
        used = (share for share in self.arms if share.share > 0.0)
        ordered = sorted(used, key=lambda share: _ORDER.index(share.arm))
        for share in ordered:
            passed += share.share
            if draw < passed:
                return share
        return ordered[-1]


Note = Callable[[Rollout], object]
"""Told of a rollout."""


class RolloutFile:
    """The rollout in force and those before it, on disk."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "rollout.json"
        self._history = data_dir / "rollouts"

    def read(self) -> Rollout | None:
        """The rollout in force; None before the first.

        Raises:
            InvalidRolloutError: if the file is not a rollout.
        """
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return None
        return _parsed(content)

    def stamp(self) -> tuple[int, int]:
        """Changes whenever the file is replaced; cheap enough to ask many times a second."""
        try:
            status = self._path.stat()
        except FileNotFoundError:
            return (0, 0)
        return (status.st_ino, status.st_mtime_ns)

    def replace(self, rollout: Rollout, note: Note = lambda _: None) -> None:
        """Puts a rollout in force whose sequence follows that of the present one.

        Args:
            rollout: comes into force.
            note: told of it just before; if it raises, nothing changes.

        Raises:
            RolloutChangedError: if another rollout came between.
        """
        with self._locked():
            present = self.read()
            sequence = present.sequence if present else 0
            if rollout.sequence != sequence + 1:
                raise RolloutChangedError(rollout.sequence - 1, sequence)
            note(rollout)
            text = rollout.model_dump_json(indent=2, by_alias=True)
            write_atomically(self._history / f"{rollout.sequence:08d}.json", text)
            write_atomically(self._path, text)

    def history(self) -> Iterator[Rollout]:
        """All rollouts that were ever in force, the newest first.

        Raises:
            InvalidRolloutError: if a file is not a rollout.
        """
        present = self.read()
        for path in sorted(self._history.glob("*.json"), reverse=True):
            rollout = _parsed(path.read_bytes())
            # A crash may have left one that is written here, but was not yet put in force.
            if present and rollout.sequence <= present.sequence:
                yield rollout

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._history.mkdir(parents=True, exist_ok=True)
        with (self._history / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _parsed(content: bytes) -> Rollout:
    try:
        return Rollout.model_validate_json(content)
    except ValidationError as error:
        raise invalid(error) from None


def invalid(error: ValidationError) -> InvalidRolloutError:
    """Pydantic's findings about a rollout, in one line."""
    details = error.errors(include_url=False, include_context=False, include_input=False)
    problems = (f"{dotted(detail['loc'])} {detail['msg']}".strip() for detail in details)
    return InvalidRolloutError("; ".join(problems).replace("Value error, ", ""))
