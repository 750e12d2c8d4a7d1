"""Report data for tests: one of every kind of thing that a report can show."""

from dataclasses import replace
from datetime import UTC, datetime

from replay.estimate import Estimate
from replay.histogram import Bins
from replay.report_data import (
    LedgerCounts,
    PolicyRow,
    Prediction,
    ReportData,
    Series,
    SeriesPoint,
    Unit,
    VerifyCounts,
)
from replay.verdict import Verdict

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
    )


def _policies() -> tuple[PolicyRow, ...]:
    return (
        _policy("uniform", 0.14681, 0.00274, Verdict.OK, _EVEN, 0.0),
        _policy("always mens", 0.1825, 0.0053, Verdict.OK, _EVEN, 0.0357),
        _policy("chain-20261120", 0.1838, 0.0067, Verdict.OK, _SPREAD, 0.037),
        _policy(HOSTILE, 0.1512, 0.021, Verdict.WARN, _SPREAD, 0.004),
        PolicyRow(
            name="a policy whose name is far longer than anybody would want to read in a table",
            n=32_000,
            estimate=estimate(0.77777, 0.01),
            ess=1.02,
            verdict=Verdict.REFUSE,
            reasons=(REFUSAL, "the effective sample size is 1.0 of 32,000 interactions"),
            difference=estimate(0.63, 0.01),
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
        difference=estimate(difference, half * 0.9 if difference else 0.0),
        weights=weights,
    )


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
