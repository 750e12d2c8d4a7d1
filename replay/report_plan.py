"""Reads a log once for all that a report shows of it: policies, checks, course, metrics."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from replay.course import Course, Stretches
from replay.join import Interaction, Joined
from replay.log_plan import EvaluationPlan, LogReading, chunks
from replay.metrics import MetricsPlan
from replay.metrics.plan import PolicyMetrics
from replay.source import Source
from replay.sums import Floats


class ReportReading:
    """What was found in some decisions; see `replay.slices.Reading`."""

    def __init__(self, log: LogReading, metrics: PolicyMetrics) -> None:
        self.log = log
        self.course = Course()
        self.metrics = metrics

    def merge(self, other: "ReportReading") -> None:
        """Takes in what was found in the decisions that follow."""
        self.log.merge(other.log)
        self.course.merge(other.course)
        self.metrics.merge(other.metrics)


@dataclass(frozen=True, slots=True)
class ReportPlan:
    """What a report needs of a log."""

    evaluation: EvaluationPlan
    metrics: MetricsPlan
    stretches: Stretches

    def prepare(self, source: Source) -> Callable[[Iterable[Joined]], ReportReading]:
        """Loads the policies."""
        places = self.stretches.places
        course = Course()

        def note(policy: str, interactions: Sequence[Interaction], weights: Floats) -> None:
            course.add_weights(policy, weights, places(interactions))

        add = self.evaluation.adder(source, note)

        def read(joined: Iterable[Joined]) -> ReportReading:
            nonlocal course
            metrics = PolicyMetrics(tuple(self.metrics.dimensions), self.metrics.ks)
            found = ReportReading(LogReading(source, self.evaluation), metrics)
            course = found.course
            for chunk in chunks(joined):
                add(found.log, chunk)
                interactions = [one.interaction for one in chunk if one.interaction is not None]
                course.add(interactions, places(interactions))
                self.metrics.add(found.metrics, chunk, source, None)
            return found

        return read
