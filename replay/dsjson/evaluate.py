"""Evaluates policies on decision-service JSON in one pass and bounded memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from math import fsum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from replay.checks.draws import DrawCheck, Draws
from replay.diagnostics import Diagnosis
from replay.dsjson.lines import DamagedLineError, Draw, Left, draws_of, files_of, lines_of
from replay.dsjson.targets import LOGGING, UNIFORM, Pmf, need_actions, target_of
from replay.errors import EmptyTableError
from replay.estimate import DEFAULT_LEVEL
from replay.evaluation import DEFAULT_ESTIMATORS, Evaluation, EvaluationResult
from replay.intervals.settings import DEFAULT_INTERVALS, IntervalSettings
from replay.sample import Sample, named_rows
from replay.verdict import Finding, Verdict, worst_first

CHUNK = 1024
ACTION = "action"
DEFAULT_TARGETS = (LOGGING, UNIFORM)
DAMAGE_WARN, DAMAGE_REFUSE = 0.001, 0.05
"""Lines are not damaged by lot: where a twentieth is, the rest is another log."""

OnProgress = Callable[[int, float], None]
"""Called with the lines read so far and the share of the bytes read, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class DsjsonPlan:
    """What to evaluate."""

    targets: tuple[str, ...] = DEFAULT_TARGETS
    estimators: tuple[str, ...] = DEFAULT_ESTIMATORS
    intervals: IntervalSettings = DEFAULT_INTERVALS
    """Lines have no subject, so that rows are independent."""
    level: float = DEFAULT_LEVEL


@dataclass(frozen=True, slots=True)
class DsjsonEvaluation:
    """What such a log says."""

    policies: Mapping[str, EvaluationResult]
    lines: int
    left: Left
    draws: Mapping[str, Any]
    """Numbers of the check that probabilities belong to their choices."""

    def left_json(self) -> dict[str, Any]:
        """Lines that were left out, by why."""
        damaged = {
            reason: {"count": damage.count, "lines": damage.named}
            for reason, damage in self.left.damaged.items()
        }
        return {"unlabelled": self.left.unlabelled, "damaged": damaged}


def evaluate_dsjson(
    path: Path, plan: DsjsonPlan, on_progress: OnProgress | None = None
) -> DsjsonEvaluation:
    """Evaluates policies on a file or a directory of files, packed by gzip or not.

    Lines that were thrown away to save room, with chance `pdrop`, are stood for by those that were
    kept: these weigh 1 / (1 - pdrop), relative to the mean of all. Damaged lines are left out,
    counted and named.

    Raises:
        TableFormatError: if there is no such file, or it cannot be read.
        EmptyTableError: if no line is a decision with an outcome.
        UnknownTargetError: if there is no such policy.
        UnknownActionError: if a policy takes an action that no line could take.
        BadValueError: if a line breaks what was declared; it is named.
    """
    files = files_of(path)
    pmfs = {name: target_of(name) for name in plan.targets}
    scale = _kept_scale(files)
    reading = _Reading(files, on_progress)
    found = {name: Evaluation(plan.estimators, plan.intervals) for name in plan.targets}
    check, actions = DrawCheck(), set[int]()
    draws = iter(reading)
    while chunk := list(islice(draws, CHUNK)):
        rows = _answered(chunk, tuple(pmfs.values()), reading.left)
        _check(check, [row.draw for row in rows])
        actions.update(*(row.draw.actions for row in rows))
        for place, one in enumerate(found.values()):
            _add(one, rows, place, scale)
    if not any(one.n for one in found.values()):
        raise EmptyTableError(path)
    need_actions(plan.targets, actions)
    findings = (*check.findings(), *_damage(reading.left, reading.lines))
    results = {name: _with(one.result(plan.level), findings) for name, one in found.items()}
    return DsjsonEvaluation(results, reading.lines, reading.left, check.to_json())


class _Reading:
    """Goes through all files once."""

    def __init__(self, files: Sequence[Path], on_progress: OnProgress | None) -> None:
        self._files = files
        self._advance = on_progress or (lambda _lines, _share: None)
        self.lines = 0
        self.left = Left()

    def __iter__(self) -> Iterator["_Placed"]:
        done, whole = 0, sum(file.stat().st_size for file in self._files) or 1
        for file in self._files:
            for number, line, place in lines_of(file):
                self.lines += 1
                where = f"{file.name}:{number}"
                yield from ((where, draw) for draw in self._draws(line, where))
                if self.lines % CHUNK == 0:
                    self._advance(self.lines, min((done + place) / whole, 1.0))
            done += file.stat().st_size
        self._advance(self.lines, 1.0)

    def _draws(self, line: bytes, where: str) -> Sequence[Draw]:
        try:
            found = draws_of(line)
        except DamagedLineError as error:
            self.left.note(error.reason, where)
            return ()
        self.left.unlabelled += not found
        return found


def _kept_scale(files: Sequence[Path]) -> float:
    """Choices by those that they stand for; 1 where no line was thrown away.

    A reading of its own, but only where some line speaks of it.
    """
    if not any(b'"pdrop"' in line for line in _all_lines(files)):
        return 1.0
    kept, stood_for = 0, 0.0
    for line in _all_lines(files):
        with suppress(DamagedLineError):
            for draw in draws_of(line):
                kept += 1
                stood_for += 1.0 / draw.kept
    return kept / stood_for if kept else 1.0


def _all_lines(files: Sequence[Path]) -> Iterator[bytes]:
    return (line for file in files for _, line, _ in lines_of(file))


_Placed = tuple[str, Draw]
"""File and number of a line, and a choice of it."""


class _Row(NamedTuple):
    where: str
    draw: Draw
    answers: Sequence[Sequence[float]]
    """Each policy's probabilities, in the order of the draw's actions."""


def _answered(chunk: Sequence[_Placed], pmfs: Sequence[Pmf], left: Left) -> list[_Row]:
    """What the policies would do; lines of which one of them cannot say are left out for all."""
    rows = []
    for where, draw in chunk:
        try:
            rows.append(_Row(where, draw, [pmf(draw) for pmf in pmfs]))
        except DamagedLineError as error:
            left.note(error.reason, where)
    return rows


def _add(evaluation: Evaluation, rows: Sequence[_Row], place: int, scale: float) -> None:
    with named_rows(lambda index: rows[index].where):
        draws = [row.draw for row in rows]
        evaluation.add(_sample(draws, [row.answers[place] for row in rows], scale))


def _sample(draws: Sequence[Draw], target: Sequence[Sequence[float]], scale: float) -> Sample:
    p_target = np.asarray([float(one[0]) for one in target])
    p_log = np.asarray([draw.probability for draw in draws])
    factor = np.asarray([scale / draw.kept for draw in draws])
    # The weight is to be p_target / p_log * factor, and both stay probabilities.
    return Sample(
        reward=np.asarray([draw.reward for draw in draws]),
        p_log=p_log / np.maximum(factor, 1.0),
        p_target=p_target * np.minimum(factor, 1.0),
        p_unsupported=np.asarray(
            [
                min(fsum(t for t, p in zip(one, draw.pmf, strict=True) if p == 0), 1.0)
                for one, draw in zip(target, draws, strict=True)
            ]
        ),
    )


def _check(check: DrawCheck, draws: Sequence[Draw]) -> None:
    several = [draw for draw in draws if len(draw.actions) > 1]
    if not several:
        return
    codes: dict[str, int] = {}
    flat = np.asarray(
        [codes.setdefault(f"{action}", len(codes)) for draw in several for action in draw.actions]
    )
    pmfs, chosen = [draw.pmf for draw in several], [0] * len(several)
    stands_for = np.asarray([1.0 / draw.kept for draw in several])
    check.count(ACTION, Draws(codes, flat, pmfs, chosen, stands_for))


def _damage(left: Left, lines: int) -> Iterator[Finding]:
    share = left.total / lines if lines else 0.0
    if share <= DAMAGE_WARN:
        return
    worst = max(left.damaged, key=lambda reason: left.damaged[reason].count)
    damage = left.damaged[worst]
    yield Finding(
        Verdict.REFUSE if share > DAMAGE_REFUSE else Verdict.WARN,
        f"{left.total:,} of {lines:,} lines are damaged and left out; of {damage.count:,} the line "
        f"{worst} ({', '.join(damage.named)}{', …' if damage.count > len(damage.named) else ''})",
    )


def _with(result: EvaluationResult, findings: Sequence[Finding]) -> EvaluationResult:
    diagnosis = result.diagnosis
    verdict, reasons = worst_first(diagnosis.verdict, diagnosis.reasons, findings)
    return replace(result, diagnosis=Diagnosis(diagnosis.summary, verdict, reasons))
