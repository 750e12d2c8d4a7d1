"""Measures a log over processes: metrics of the logging policy, or of one that did not run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from policy.choice import stage_pmf
from policy.policies import FloatArray
from policy.situation import Stage
from replay.checks import LogChecks, LogFindings
from replay.diagnostics import Diagnostics
from replay.errors import UnknownDimensionError
from replay.estimate import DEFAULT_LEVEL
from replay.join import Joined
from replay.log_evaluation import LOGGING, Target, is_usable, p_logged, p_target
from replay.log_plan import chunks, rollouts_of
from replay.metrics.dimensions import DIMENSIONS, GroupOf, by_segment
from replay.metrics.kinds import Kinds
from replay.metrics.reading import ALL, MetricsReading
from replay.metrics.results import Group, MetricTable
from replay.sample import Sample
from replay.slices import read_log
from replay.source import Source
from replay.verdict import worst_first

DEFAULT_KS = (1, 3)


class PolicyMetrics:
    """What was measured of one policy; see `replay.slices.Reading`."""

    def __init__(self, dimensions: Sequence[str], ks: Sequence[int]) -> None:
        self.metrics = MetricsReading(dimensions, ks)
        self.diagnostics = Diagnostics()

    def merge(self, other: "PolicyMetrics") -> None:
        """Takes in what was measured in the decisions that follow."""
        self.metrics.merge(other.metrics)
        self.diagnostics.merge(other.diagnostics)


class CheckedMetrics:
    """The same, and what is wrong with the log it was measured in."""

    def __init__(self, policy: PolicyMetrics, source: Source) -> None:
        self.policy = policy
        self.checks = LogChecks(source.catalog.reward, source.as_of_ms)

    def merge(self, other: "CheckedMetrics") -> None:
        """Takes in what was found in the decisions that follow."""
        self.policy.merge(other.policy)
        self.checks.merge(other.checks)


@dataclass(frozen=True, slots=True)
class MetricsPlan:
    """Measures one policy in one reading."""

    kinds: Kinds
    by: tuple[str, ...]
    segments: tuple[str, ...] = ()
    policy: str = LOGGING
    ks: tuple[int, ...] = DEFAULT_KS

    def __post_init__(self) -> None:
        for name in self.by:
            if name not in DIMENSIONS:
                raise UnknownDimensionError(name, tuple(DIMENSIONS))

    @property
    def dimensions(self) -> Mapping[str, GroupOf]:
        """By name; a segment's is its feature's."""
        fixed = {name: DIMENSIONS[name] for name in self.by}
        return {**fixed, **{f"feature {name}": by_segment(name) for name in self.segments}}

    def prepare(self, source: Source) -> Callable[[Iterable[Joined]], CheckedMetrics]:
        """Loads the policy."""
        target = None if self.policy == LOGGING else source.target(self.policy)
        dimensions = tuple(self.dimensions)

        def read(joined: Iterable[Joined]) -> CheckedMetrics:
            found = CheckedMetrics(PolicyMetrics(dimensions, self.ks), source)
            for chunk in chunks(joined):
                found.checks.add(chunk)
                self.add(found.policy, chunk, source, target)
            return found

        return read

    def add(
        self, found: PolicyMetrics, chunk: Sequence[Joined], source: Source, target: Target | None
    ) -> None:
        """Measures decisions."""
        usable = [one for one in chunk if _is_measured(one, target)]
        interactions = [one.interaction for one in usable if one.interaction is not None]
        logged = p_logged(interactions)
        chosen = logged if target is None else p_target(target.policy, interactions)
        rewards = np.asarray([one.reward for one in interactions], dtype=np.float64)
        sample = Sample(rewards, logged, chosen)
        found.diagnostics.add(sample)
        pmfs = [_ranking(one, target) for one in usable]
        rule = source.catalog.reward
        found.metrics.add(usable, sample.weight, pmfs, rule, self.kinds, self.dimensions)

    def table(
        self, found: PolicyMetrics, log: LogFindings, level: float, *, asked: bool
    ) -> MetricTable:
        """The metrics as they are shown.

        Args:
            found: what was measured.
            log: what is wrong with the log it was measured in.
            level: confidence level.
            asked: whether rewards are told of that nobody has seen, since they were asked for.
        """
        known = self.kinds if asked else _seen(self.kinds, found.metrics.seen)
        weighted = self.policy != LOGGING
        diagnosis = found.diagnostics.result()
        verdict, reasons = worst_first(diagnosis.verdict, diagnosis.reasons, log.findings)
        (overall,) = found.metrics.groups(ALL, level, known, weighted=weighted) or [_NOTHING]
        by = {
            name: tuple(found.metrics.groups(name, level, known, weighted=weighted))
            for name in self.dimensions
        }
        return MetricTable(self.policy, level, overall, by, verdict, reasons)


def _is_measured(one: Joined, target: Target | None) -> bool:
    interaction = one.interaction
    return interaction is not None and (target is None or is_usable(interaction, target))


def _ranking(one: Joined, target: Target | None) -> FloatArray:
    """The pmf over offers: the logged one, or that of the policy that is measured."""
    interaction = one.interaction
    if target is None or interaction is None:
        return np.asarray(one.logged.decision.stages[Stage.OFFER].pmf)
    return stage_pmf(target.policy, interaction.situation, ())


def _seen(kinds: Kinds, seen: set[str]) -> Kinds:
    """Without the rewards that nobody has seen."""
    return Kinds(
        click=kinds.click & seen,
        conversion=kinds.conversion & seen,
        revenue=kinds.revenue & seen,
        unsubscribe=kinds.unsubscribe & seen,
    )


_NOTHING = Group(ALL, 0, 0.0, {})


def measure(  # noqa: PLR0913 - what measuring depends on
    source: Source,
    plan: MetricsPlan,
    level: float = DEFAULT_LEVEL,
    *,
    asked: bool = False,
    processes: int | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> MetricTable:
    """Measures a policy on a log, in one reading; the same for any number of processes."""
    found = read_log(source, plan, processes, on_progress)
    log = found.checks.result(rollouts_of(source))
    return plan.table(found.policy, log, level, asked=asked)
