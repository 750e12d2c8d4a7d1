"""Report data for tests: one of every kind of thing that a report can show."""

from dataclasses import replace
from datetime import UTC, datetime

from replay.comparison import Comparison
from replay.estimate import Estimate
from replay.histogram import Bins
from replay.metrics import Cell, Group, MetricTable
from replay.report_data import (
    Delays,
    LedgerCounts,
    PolicyRow,
    Prediction,
    ReportData,
    Series,
    SeriesPoint,
    SharePoint,
    Shares,
    Unit,
    VerifyCounts,
)
from replay.reward_models.calibration import CalibrationSummary, ReliabilityBin
from replay.verdict import Finding, Verdict

REFUSAL = "one interaction of weight 1,000,000 carries 99.0% of all weight"
HOSTILE = '<script>alert("x")</script> & $x_1$ 企画'

_EVEN = Bins((1.0, 2.0, 4.0), (0, 21_400), 42_600)
_SPREAD = Bins((0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), (800, 2_900, 9_100, 14_800, 3_700, 700), 0)


def estimate(value: float, half: float) -> Estimate:
    """An estimate with a symmetric interval."""
    return Estimate(value, (value - half, value + half), "made up")


def report_data() -> ReportData:
    """A full report: sound policies, one to take with care, a refused one and a hostile name."""
    return ReportData(
        title="Hillstrom e-mail experiment",
        generated_at=datetime(2026, 11, 20, 14, 5, tzinfo=UTC),
        headlines=(
            "The trained policy would have brought 18.4% of customers, 3.7 points above chance.",
            "It then ran on the other half of the customers and brought 18.2%, as predicted.",
        ),
        unit=Unit.RATE,
        logging=estimate(0.14681, 0.00274),
        policies=_policies(),
        prediction=Prediction("chain-20261120", estimate(0.1838, 0.0067), estimate(0.1821, 0.0051)),
        ledger=_ledger(),
        verify=VerifyCounts(64_000, 64_000, 0),
        reward_over_log=(_series("random", 0.147, 0.0), _series("champion", 0.149, 0.0038)),
        ess_over_log=(
            _shares("always mens", 0.34, 0.0),
            _shares("chain-20261120", 0.9, -0.06),
            _shares("chain-0123456789abcdef", 0.8, -0.05),
            _shares("a policy whose name is far longer than a drawing", 0.5, 0.0),
        ),
        delays=Delays(14.0, (2_900, 700, 300, 200, 120, *[30] * 15), 41, 0.031),
        metrics=_metrics(),
        reward_model=_reward_model(),
        findings=(Finding(Verdict.WARN, f"deliveries fail unequally ({HOSTILE} 12.0%)"),),
    )


def without(data: ReportData) -> ReportData:
    """The least that a report can show."""
    return replace(
        data,
        headlines=(),
        policies=(),
        prediction=None,
        ledger=None,
        verify=None,
        reward_over_log=(),
        ess_over_log=(),
        delays=None,
        metrics=None,
        reward_model=None,
        findings=(),
    )


def _policies() -> tuple[PolicyRow, ...]:
    return (
        _policy("uniform", 0.14681, 0.00274, Verdict.OK, _EVEN, 0.0),
        _policy("always mens", 0.1825, 0.0053, Verdict.OK, _EVEN, 0.0357),
        _policy("chain-20261120", 0.1838, 0.0067, Verdict.OK, _SPREAD, 0.037),
        _policy(HOSTILE, 0.1512, 0.021, Verdict.WARN, _SPREAD, 0.022),
        PolicyRow(
            name="a policy whose name is far longer than anybody would want to read in a table",
            n=32_000,
            estimate=estimate(0.77777, 0.01),
            ess=1.02,
            verdict=Verdict.REFUSE,
            reasons=(REFUSAL, "the effective sample size is 1.0 of 32,000 interactions"),
            comparison=_comparison(0.63, 0.01),
        ),
    )


def _policy(  # noqa: PLR0913, PLR0917 - a row of a table
    name: str, value: float, half: float, verdict: Verdict, weights: Bins, difference: float
) -> PolicyRow:
    return PolicyRow(
        name=name,
        n=32_000,
        estimate=estimate(value, half),
        ess=10_655.0 if verdict is Verdict.OK else 84.0,
        verdict=verdict,
        reasons=() if verdict is Verdict.OK else ("the effective sample size is 84.0",),
        comparison=_comparison(difference, half * 0.9 if difference else 0.0),
        weights=weights,
    )


def _comparison(value: float, half: float) -> Comparison:
    """One of five, whose simultaneous intervals are a third wider."""
    return Comparison(estimate(value, half), estimate(value, half * 4 / 3), 5, 0.99)


def _ledger() -> LedgerCounts:
    counts = {
        "Decisions": 64_000,
        "Delivered": 27_310,
        "Not delivered": 36_690,
        "Pending": 0,
        "Rewards": 4_502,
        "Joined": 4_502,
        "Late": 0,
        "Unmatched": 0,
        "Repeated": 0,
    }
    return LedgerCounts(balanced=True, counts=counts)


def _series(name: str, start: float, step: float) -> Series:
    points = (
        SeriesPoint(6_400 * tenth, estimate(start + step * tenth + 0.004 * (-1) ** tenth, 0.0086))
        for tenth in range(1, 11)
    )
    return Series(name, tuple(points))


def _shares(name: str, start: float, step: float) -> Shares:
    points = (
        SharePoint(6_400 * tenth, start + step * tenth, 6_400 * (start + step * tenth))
        for tenth in range(1, 11)
    )
    return Shares(name, tuple(points))


def _metrics() -> MetricTable:
    arms = (_group("champion", 32_000, 0.182), _group("random", 32_000, 0.147))
    hours = tuple(_group(f"{hour:02d}:00", 2_600, 0.15 + hour / 1000) for hour in range(24))
    names = (HOSTILE, "a group whose name is far longer than anybody would want to read", "x")
    offers = tuple(_group(name, 21_000, 0.16) for name in names)
    by = {"arm": arms, "offer": offers, "hour": hours, f"feature {HOSTILE}": offers}
    return MetricTable("logging", 0.95, _group("all", 64_000, 0.1649), by)


def _group(name: str, n: int, rate: float) -> Group:
    names = ("value", "value_per_subject", "ctr", "revenue", "revenue_per_subject", "unsubscribe")
    ranked = ("precision@1", "ndcg@1", "precision@3", "ndcg@3")
    cells = {metric: _cell(rate, metric) for metric in (*names, *ranked)}
    return Group(name, n, float(n), cells)


def _cell(rate: float, metric: str) -> Cell:
    value = 1234.5 if metric.startswith("revenue") else rate
    half = value / 20
    near, far = (value - half, value + half), (value - 2 * half, value + 2 * half)
    return Cell(value, near, far, differs=metric == "ctr")


def _reward_model() -> CalibrationSummary:
    bins = tuple(
        ReliabilityBin(6_400, 0.05 + 0.03 * tenth, 0.06 + 0.028 * tenth, 0.004)
        for tenth in range(10)
    )
    return CalibrationSummary("lightgbm", 64_000, 0.634, 0.4021, 0.4187, 0.031, bins)
