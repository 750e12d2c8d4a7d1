"""What a report shows: plain values, ready before anything is drawn or written."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from replay.comparison import Comparison, Standing, apart, standing_of
from replay.estimate import DEFAULT_LEVEL, Estimate
from replay.histogram import Bins
from replay.metrics.results import MetricTable
from replay.reward_models.calibration import CalibrationSummary
from replay.verdict import Finding, Verdict


class Unit(StrEnum):
    """What a reward is, which decides how values are written."""

    RATE = "rate"
    """A share of decisions: shown in percent, differences in percentage points."""
    NUMBER = "number"
    """Anything else, such as money for one decision."""


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """One policy with what the log says about it."""

    name: str
    n: int
    """Interactions evaluated."""
    estimate: Estimate | None
    """Value for one decision; None where there can be none. Never shown where refused."""
    ess: float
    """Effective sample size, in rows."""
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    """Why the verdict is not ok, gravest first."""
    comparison: Comparison | None = None
    """This policy against the logging policy, on the same interactions."""
    weights: Bins | None = None
    """Distribution of its importance weights."""

    @property
    def shown(self) -> Estimate | None:
        """The estimate if it may be shown."""
        return None if self.verdict is Verdict.REFUSE else self.estimate

    @property
    def shown_comparison(self) -> Comparison | None:
        """The comparison if it may be shown."""
        return None if self.verdict is Verdict.REFUSE else self.comparison


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was expected of a policy before it ran, beside what it then earned."""

    policy: str
    predicted: Estimate
    realised: Estimate

    @property
    def difference(self) -> Estimate:
        """Realised minus predicted; both were estimated, and either may be off."""
        return apart(self.realised, self.predicted)

    @property
    def kept(self) -> bool:
        """Whether the two differ by no more than their errors allow."""
        return standing_of(self.difference) is Standing.UNCLEAR


@dataclass(frozen=True, slots=True)
class SeriesPoint:
    """Mean reward of one stretch of the log."""

    decisions: int
    """Decisions of the whole log up to the end of the stretch."""
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class Series:
    """Mean reward over the log, of one arm."""

    name: str
    points: tuple[SeriesPoint, ...]


@dataclass(frozen=True, slots=True)
class SharePoint:
    """Effective sample of one stretch of the log."""

    decisions: int
    """Decisions of the whole log up to the end of the stretch."""
    share: float
    """Effective rows as a share of the stretch's interactions."""
    rows: float
    """Effective rows."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Effective sample over the log, of one policy."""

    name: str
    points: tuple[SharePoint, ...]


@dataclass(frozen=True, slots=True)
class Delays:
    """How long after its decision a reward comes."""

    days: float
    """Length of the attribution window."""
    counts: tuple[int, ...]
    """Rewards in equal parts of the window."""
    late: int
    """Rewards that came after it."""
    open_share: float
    """Share of the delivered decisions whose window is still open."""


@dataclass(frozen=True, slots=True)
class LedgerCounts:
    """The reconciliation of the log."""

    balanced: bool
    counts: Mapping[str, int]
    """Counts by what they count, in the order to be shown."""


@dataclass(frozen=True, slots=True)
class VerifyCounts:
    """The outcome of recomputing every logged probability."""

    decisions: int
    exact: int
    mismatched: int


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that one report shows; what is None or empty is left out."""

    title: str
    generated_at: datetime
    """With a time zone."""
    headlines: tuple[str, ...]
    """What was found, in sentences; the first is the one to remember."""
    unit: Unit
    logging: Estimate
    """What the logging policy earned for one decision."""
    policies: tuple[PolicyRow, ...]
    prediction: Prediction | None = None
    ledger: LedgerCounts | None = None
    verify: VerifyCounts | None = None
    reward_over_log: tuple[Series, ...] = ()
    ess_over_log: tuple[Shares, ...] = ()
    delays: Delays | None = None
    metrics: MetricTable | None = None
    """What happened, by arm, offer, channel, hour and segment."""
    reward_model: CalibrationSummary | None = None
    findings: tuple[Finding, ...] = ()
    """What is wrong with the log itself; it concerns every policy."""
    level: float = DEFAULT_LEVEL
    """Confidence level of every interval."""

    @property
    def comparisons(self) -> int:
        """How many policies are compared with the logging policy."""
        return max(
            (row.comparison.comparisons for row in self.policies if row.comparison), default=0
        )
