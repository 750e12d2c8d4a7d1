"""Accumulates metrics over interactions: what happened, weighted as a policy would have chosen."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from policy.catalog import Reward as RewardRule
from policy.policies import FloatArray
from policy.situation import Stage
from replay.join import Joined, has_support
from replay.metrics.cells import Cells, Ratio
from replay.metrics.dimensions import GroupOf
from replay.metrics.kinds import Kinds, happened, total
from replay.metrics.ranking import gain, place_of, share_within
from replay.metrics.results import Cell, Group
from replay.subjects import keys_of
from replay.sums import Floats

ALL = "all"
SHARES = ("ctr", "conversion", "unsubscribe")
AMOUNTS = ("value", "revenue")
PER_SUBJECT: Mapping[str, str] = {
    "value": "value_per_subject",
    "revenue": "revenue_per_subject",
}


def metric_names(ks: Sequence[int]) -> tuple[str, ...]:
    """All metrics of a row, in the order of their columns."""
    ranked = [f"{name}@{k}" for k in ks for name in ("precision", "ndcg")]
    return ("value", "ctr", "conversion", "revenue", "unsubscribe", *ranked)


class MetricsReading:
    """Sums of all metrics by dimension and group; parts made anywhere merge."""

    def __init__(self, dimensions: Sequence[str], ks: Sequence[int]) -> None:
        self.ks = tuple(ks)
        self.names = metric_names(ks)
        self.cells = {name: Cells(len(self.names)) for name in (ALL, *dimensions)}
        self.seen: set[str] = set()
        """Names of all rewards that came in time for an interaction."""

    def add(  # noqa: PLR0913, PLR0917 - columns of one chunk
        self,
        chunk: Sequence[Joined],
        weights: Floats,
        pmfs: Sequence[FloatArray],
        rule: RewardRule,
        kinds: Kinds,
        dimensions: Mapping[str, GroupOf],
    ) -> None:
        """Takes in interactions.

        Args:
            chunk: they and their reports.
            weights: importance weights, shape (n,).
            pmfs: over offers, by which they are ranked.
            rule: says which rewards come in time.
            kinds: names of rewards, by what they tell.
            dimensions: how each names the group of an interaction.
        """
        if not chunk:
            return
        for one in chunk:
            self.seen.update(reward.name for reward in one.logged.rewards)
        keys = keys_of([one.logged.decision for one in chunk])
        tops, bottoms = self._columns(chunk, weights, pmfs, rule, kinds)
        interactions = [one.interaction for one in chunk if one.interaction is not None]
        self.cells[ALL].add([ALL] * len(chunk), keys, tops, bottoms)
        for name, group_of in dimensions.items():
            groups = [group_of(one) for one in interactions]
            self.cells[name].add(groups, keys, tops, bottoms)

    def merge(self, other: "MetricsReading") -> None:
        """Takes in what another one has seen."""
        self.seen |= other.seen
        for name, cells in self.cells.items():
            cells.merge(other.cells[name])

    def groups(self, dimension: str, level: float, known: Kinds, *, weighted: bool) -> list[Group]:
        """Every group of a dimension, with intervals.

        Args:
            dimension: or `ALL`.
            level: confidence level.
            known: kinds whose rewards are asked for or were seen.
            weighted: whether weights are other than 1: then nothing is told by subject.
        """
        cells = self.cells[dimension]
        return [
            self._group(cells, name, level, known, weighted=weighted)
            for name in sorted(cells.codes)
        ]

    def _columns(
        self,
        chunk: Sequence[Joined],
        weights: Floats,
        pmfs: Sequence[FloatArray],
        rule: RewardRule,
        kinds: Kinds,
    ) -> tuple[Floats, Floats]:
        rows = [_row(one, rule, kinds) for one in chunk]
        plain = np.asarray(rows, dtype=np.float64).T
        ranked = np.asarray(list(self._ranked(chunk, pmfs)), dtype=np.float64)
        tops = np.concatenate([plain * weights, ranked[:, 0].T])
        bottoms = np.concatenate([np.broadcast_to(weights, plain.shape), ranked[:, 1].T])
        return tops, bottoms

    def _ranked(
        self, chunk: Sequence[Joined], pmfs: Sequence[FloatArray]
    ) -> Iterator[tuple[list[float], list[float]]]:
        """Tops and bottoms of precision and NDCG, for each interaction and k."""
        for one, pmf in zip(chunk, pmfs, strict=True):
            interaction = one.interaction
            assert interaction is not None  # noqa: S101 - the caller chose them so
            decision = one.logged.decision
            # A fixed rule's responses tell nothing about the offers that it never makes.
            is_drawn = has_support(decision)
            weight = 1.0 / decision.stages[Stage.OFFER].probability if is_drawn else 0.0
            liked = weight * (interaction.reward > 0)
            place = place_of(pmf, interaction.path[Stage.OFFER])
            tops, bottoms = [], []
            for k in self.ks:
                within = share_within(place, k)
                tops += [liked * within, liked * gain(place, k)]
                bottoms += [weight * within, liked]
            yield tops, bottoms

    def _group(
        self, cells: Cells, name: str, level: float, known: Kinds, *, weighted: bool
    ) -> Group:
        code = cells.codes[name]
        n = int(cells.rows[code])
        compared = len(cells.codes)
        shown: dict[str, Cell] = {}
        for place, metric in enumerate(self.names):
            if not _is_known(metric, known):
                continue
            ratio = cells.ratio(name, place)
            whole = self.cells[ALL].ratio(ALL, place)
            if ratio.bottom > 0:
                rows = cells.size(name, place)
                shown[metric] = _cell(metric, ratio, whole, level, compared, rows)
            if metric in PER_SUBJECT and not weighted:
                each = cells.per_subject(name, place)
                all_ = self.cells[ALL].per_subject(ALL, place)
                shown[PER_SUBJECT[metric]] = _cell(metric, each, all_, level, compared, n)
        return Group(name, n, cells.subjects[code].count, shown)


def _row(one: Joined, rule: RewardRule, kinds: Kinds) -> tuple[float, ...]:
    """Value, click, conversion, revenue, unsubscription of an interaction."""
    interaction, logged = one.interaction, one.logged
    assert interaction is not None  # noqa: S101 - the caller chose them so
    if not logged.rewards:
        return interaction.reward, 0.0, 0.0, 0.0, 0.0
    return (
        interaction.reward,
        float(happened(logged, rule, kinds.click)),
        float(happened(logged, rule, kinds.conversion)),
        total(logged, rule, kinds.revenue),
        float(happened(logged, rule, kinds.unsubscribe)),
    )


def _is_known(metric: str, known: Kinds) -> bool:
    """Whether there is anything to tell: nobody wants to read of a revenue that nobody reports."""
    kind = "click" if metric == "ctr" else metric
    return bool(getattr(known, kind, True))


def _cell(  # noqa: PLR0913, PLR0917 - what an interval depends on
    metric: str, ratio: Ratio, whole: Ratio, level: float, compared: int, rows: float
) -> Cell:
    wide = 1 - (1 - level) / compared
    is_share = metric in SHARES or metric.startswith(("precision", "ndcg"))
    if is_share:
        own, all_ = ratio.share_interval(level, rows), ratio.share_interval(wide, rows)
    else:
        own, all_ = ratio.interval(level), ratio.interval(wide)
    return Cell(ratio.value, own, all_, not all_[0] <= whole.value <= all_[1])
