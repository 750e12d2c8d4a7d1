"""Recomputes every logged decision from its record and compares it bit for bit."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from decisionlog import DamagedRecord, Decision, DecisionLog, NoSendReason
from decisionlog.ids import entropy, to_text
from decisionlog.tables import ID_BYTES
from policy.choice import choose
from policy.eligibility import is_no_send
from policy.errors import PolicyError
from policy.registry import Registry
from policy.rollout import HOLDOUT_VERSION, Arm
from policy.situation import Stage, situation_of
from replay.processes import STRETCH, pool, workers_for

NAMED_MAX = 1000
POLICIES_MAX = 8

OpenLog = Callable[[], DecisionLog]
Stretch = tuple[bytes, bytes | None]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A decision that cannot be recomputed as it was logged."""

    decision_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What recomputing a log found."""

    decisions: int
    exact: int
    mismatches: tuple[Mismatch, ...]
    """At most 1,000 of them are named."""

    @property
    def mismatched(self) -> int:
        """Decisions that differ, all counted."""
        return self.decisions - self.exact

    def with_more(self, more: Self) -> "Verification":
        """What was found here and in the decisions that follow."""
        return Verification(
            self.decisions + more.decisions,
            self.exact + more.exact,
            (*self.mismatches, *more.mismatches)[:NAMED_MAX],
        )


@dataclass(frozen=True, slots=True)
class Sought:
    """What is to be verified."""

    log: DecisionLog
    registry: Registry
    start: bytes = b""
    """Decisions before this id are left out."""
    until: bytes | None = None
    """So are those from this id on."""
    open_log: OpenLog | None = None
    """Opens the same log in another process; None where only this one may read it."""


def verify(
    sought: Sought,
    on_progress: Callable[[int], None] | None = None,
    processes: int | None = None,
) -> Verification:
    """Recomputes the pmfs and draws of decisions of a log.

    Args:
        sought: the log, which goes on being written to meanwhile, if need be; its registry has
            the policies and catalogs by the versions that records name.
        on_progress: called with the decisions read since the last call.
        processes: the most to use; None: one a core. Small logs are read in this process.
    """
    starts = sought.log.cuts(STRETCH, start=sought.start, until=sought.until)
    stretches = list(zip(starts, [*starts[1:], sought.until], strict=False))
    found = Verification(0, 0, ())
    for part in _parts(sought, stretches, workers_for(len(stretches), processes)):
        found = found.with_more(part)
        if on_progress:
            on_progress(part.decisions)
    return found


def _parts(sought: Sought, stretches: list[Stretch], workers: int) -> Iterator[Verification]:
    """What was found in each stretch, in their order."""
    if workers < 2 or sought.open_log is None:  # noqa: PLR2004 - one process is this one
        checker = _Checker(sought.registry)
        yield from (_verify(sought.log, checker, stretch) for stretch in stretches)
        return
    with pool(workers, _open_worker, sought.open_log, sought.registry.data_dir) as others:
        yield from others.map(_verify_there, stretches)


class _Worker:
    """What a process holds open until it ends."""

    log: DecisionLog
    checker: "_Checker"


def _open_worker(open_log: OpenLog, data_dir: Path) -> None:
    _Worker.log = open_log()
    _Worker.checker = _Checker(Registry(data_dir))


def _verify_there(stretch: Stretch) -> Verification:
    return _verify(_Worker.log, _Worker.checker, stretch)


def _verify(log: DecisionLog, checker: "_Checker", stretch: Stretch) -> Verification:
    decisions, exact, mismatches = 0, 0, list[Mismatch]()
    for decision_id, reason in _checked(log, checker, stretch):
        decisions += 1
        exact += reason is None
        if reason is not None:
            mismatches.append(Mismatch(decision_id, reason))
    return Verification(decisions, exact, tuple(mismatches[:NAMED_MAX]))


def _checked(
    log: DecisionLog, checker: "_Checker", stretch: Stretch
) -> Iterator[tuple[str, str | None]]:
    """Every decision with what is wrong with it or a report on it; None if nothing is."""
    damages: dict[bytes, str] = {}

    def note(damage: DamagedRecord) -> None:
        damages.setdefault(damage.key[:ID_BYTES], str(damage))

    start, until = stretch
    for logged in log.scan(start=start, until=until, on_damage=note):
        decision = logged.decision
        damage = damages.pop(decision.decision_id, None)
        yield from _taken(damages)
        yield _name(decision.decision_id), damage or checker.difference(decision)
    yield from _taken(damages)


def _taken(damages: dict[bytes, str]) -> Iterator[tuple[str, str]]:
    """The decisions that were damaged themselves, so that they were never read."""
    yield from ((_name(key), damage) for key, damage in damages.items())
    damages.clear()


def _name(key: bytes) -> str:
    return to_text(key) if len(key) == ID_BYTES else key.hex()


_ARMS = frozenset(int(arm) for arm in Arm)


class _Checker:
    """Compares decisions with what their policies say now."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        # The log goes by time: a policy that was followed by many others does not come back.
        self._policy = lru_cache(maxsize=POLICIES_MAX)(registry.policy)

    def difference(self, decision: Decision) -> str | None:
        """How a decision differs from its recomputation; None if it does not."""
        try:
            return _contradiction(decision) or self._redrawn(decision)
        except PolicyError as error:
            return str(error)
        except (LookupError, ValueError, ArithmeticError) as error:
            return f"cannot be followed: {error!r}"

    def _redrawn(self, decision: Decision) -> str | None:
        if not decision.stages:
            return None
        policy = self._policy(decision.policy_version)
        situation = situation_of(decision, self._registry.catalog(decision.catalog_version))
        choice = choose(policy, situation, entropy(decision.decision_id))
        for stage, logged, again in zip(Stage, decision.stages, choice.stages, strict=True):
            if logged.pmf != tuple(again.pmf.tolist()):
                return f"the pmf of the {stage.label} differs"
            if logged.chosen != again.chosen:
                return f"the draw of the {stage.label} differs"
        return None


def _contradiction(decision: Decision) -> str | None:
    """How a record contradicts itself, whatever its policy says."""
    if decision.stages and len(decision.stages) != len(Stage):
        return f"has {len(decision.stages)} stages"
    is_holdout = decision.arm == Arm.HOLDOUT
    if decision.arm not in _ARMS or is_holdout != (decision.policy_version == HOLDOUT_VERSION):
        return "the arm is not its policy's"
    if bool(decision.stages) == (is_holdout or not decision.tree):
        return "has stages without a choice, or a choice without stages"
    if not all(channels and all(mask for _, mask in channels) for _, channels in decision.tree):
        return "has an offer without a channel or a send window"
    return (
        None if decision.no_send_reason == _reason(decision) else "the reason not to send differs"
    )


def _reason(decision: Decision) -> int:
    """Why nothing is to be sent, by all else that the record says; 0 if something is."""
    if decision.stages:
        chosen = decision.stages[Stage.OFFER].chosen
        return NoSendReason.CHOSEN if is_no_send(decision.tree, chosen) else 0
    is_holdout = decision.arm == Arm.HOLDOUT
    return NoSendReason.HOLDOUT if is_holdout else NoSendReason.NOTHING_ELIGIBLE
