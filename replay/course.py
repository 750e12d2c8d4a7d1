"""The course of a log, stretch by stretch: what arms earned, and what the log says of policies."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from policy.rollout import Arm
from replay.estimate import DEFAULT_LEVEL, Estimate
from replay.estimators import Ips
from replay.intervals.estimators import EstimatorIntervals
from replay.join import Interaction
from replay.log_evaluation import LOG_INTERVALS, clusters
from replay.report_data import Series, SeriesPoint, SharePoint, Shares, Unit
from replay.sample import Sample
from replay.source import Source
from replay.sums import Floats

STRETCHES = 10
WAITING = 2048


class Course:
    """Rewards by arm, those of each policy's own decisions, and effective sizes; parts merge."""

    def __init__(self) -> None:
        self.stretches: defaultdict[tuple[Arm, int], RunningMean] = defaultdict(RunningMean)
        self.own: defaultdict[str, RunningMean] = defaultdict(RunningMean)
        self.weights: dict[tuple[str, int], Floats] = {}
        """By policy and stretch: interactions, sum of weights, sum of their squares."""
        self.is_rate = True

    def add(self, interactions: Sequence[Interaction], stretches: Sequence[int]) -> None:
        """Takes in interactions, with the stretch of each."""
        subjects = clusters(interactions).tolist()
        for one, subject, stretch in zip(interactions, subjects, stretches, strict=True):
            decision, reward = one.decision, one.reward
            self.is_rate = self.is_rate and reward in {0.0, 1.0}
            self.stretches[Arm(decision.arm), stretch].add(reward, subject)
            self.own[decision.policy_version].add(reward, subject)

    def add_weights(self, policy: str, weights: Floats, stretches: Sequence[int]) -> None:
        """Takes in a policy's importance weights, with the stretch of each."""
        places = np.asarray(stretches, dtype=np.int64)
        for stretch in np.unique(places):
            mine = weights[places == stretch]
            sums = self.weights.setdefault((policy, int(stretch)), np.zeros(3))
            sums += (mine.size, mine.sum(), (mine**2).sum())

    def merge(self, other: "Course") -> None:
        """Takes in what another one has seen."""
        self.is_rate = self.is_rate and other.is_rate
        for key, mean in other.stretches.items():
            self.stretches[key].merge(mean)
        for version, mean in other.own.items():
            self.own[version].merge(mean)
        for place, sums in other.weights.items():
            mine = self.weights.setdefault(place, np.zeros(3))
            mine += sums

    @property
    def unit(self) -> Unit:
        """A rate if no reward was anything but 0 or 1."""
        return Unit.RATE if self.is_rate else Unit.NUMBER

    def realised(self, version: str) -> Estimate | None:
        """What a policy earned with its own decisions."""
        return self.own[version].estimate() if version in self.own else None

    def series(self, ends: Sequence[int]) -> tuple[Series, ...]:
        """Mean reward, stretch by stretch, of every arm that has interactions.

        Args:
            ends: decisions of the log up to the end of each stretch.
        """
        return tuple(
            Series(arm.name.lower(), points)
            for arm in Arm
            if (points := tuple(self._points(arm, ends)))
        )

    def shares(self, policies: Sequence[str], ends: Sequence[int]) -> tuple[Shares, ...]:
        """Effective sample size, stretch by stretch, as a share of its interactions."""
        return tuple(
            Shares(name, points) for name in policies if (points := tuple(self._sizes(name, ends)))
        )

    def _points(self, arm: Arm, ends: Sequence[int]) -> Iterator[SeriesPoint]:
        for stretch, end in enumerate(ends):
            if (arm, stretch) in self.stretches:
                yield SeriesPoint(end, self.stretches[arm, stretch].estimate())

    def _sizes(self, policy: str, ends: Sequence[int]) -> Iterator[SharePoint]:
        for stretch, end in enumerate(ends):
            if (policy, stretch) in self.weights:
                n, total, squares = self.weights[policy, stretch]
                size = total * total / squares if squares else 0.0
                yield SharePoint(end, float(size / n), float(size))


class RunningMean:
    """The mean of rewards that come one by one, clustered by subject; parts merge."""

    def __init__(self) -> None:
        self.gathered = EstimatorIntervals([Ips()], LOG_INTERVALS)
        self.waiting: list[tuple[float, int]] = []

    def add(self, reward: float, subject: int) -> None:
        """Takes one; many are summed at a time, which costs little more than one."""
        self.waiting.append((reward, subject))
        if len(self.waiting) == WAITING:
            self.flush()

    def merge(self, other: "RunningMean") -> None:
        """Takes in another's rewards."""
        self.flush()
        other.flush()
        self.gathered.merge(other.gathered)

    def estimate(self) -> Estimate:
        """The mean so far."""
        self.flush()
        return self.gathered.estimate(Ips.name, DEFAULT_LEVEL)

    def flush(self) -> None:
        """Sums what waits."""
        if self.waiting:
            rewards, subjects = zip(*self.waiting, strict=True)
            ones = np.ones(len(rewards))
            self.gathered.add(Sample(np.array(rewards), ones, ones, subject=np.array(subjects)))
            self.waiting = []


class Stretches:
    """Tenths of a log, by the ids at which they begin; can be pickled."""

    def __init__(self, source: Source) -> None:
        size = max(source.size, 1)
        self.length = -(-size // STRETCHES)
        self.starts = source.log.cuts(self.length, start=source.start, until=source.until)
        self.size = size

    @property
    def ends(self) -> list[int]:
        """Decisions up to the end of each."""
        return [min(self.length * (one + 1), self.size) for one in range(len(self.starts))]

    def places(self, interactions: Sequence[Interaction]) -> list[int]:
        """The stretch of each interaction."""
        last = max(len(self.starts) - 1, 0)
        return [
            min(max(bisect_right(self.starts, one.decision.decision_id) - 1, 0), last)
            for one in interactions
        ]
