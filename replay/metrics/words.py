"""Metrics in words and figures, for people."""

from replay.metrics.reading import SHARES
from replay.metrics.results import Cell, MetricTable


def is_share(metric: str) -> bool:
    """Whether a metric lies between 0 and 1 and is shown in percent."""
    return metric in SHARES or metric.startswith("precision")


def cell_words(metric: str, cell: Cell) -> tuple[str, str]:
    """Value and interval; a star where it differs from all together."""
    low, high = cell.interval
    star = "*" if cell.differs else ""
    return (
        f"{star}{figure(metric, cell.value)}",
        f"{figure(metric, low)} to {figure(metric, high)}",
    )


def figure(metric: str, value: float) -> str:
    """A number of a metric."""
    if value != value or abs(value) == float("inf"):  # noqa: PLR0124 - NaN differs from itself
        return "unknown"
    if is_share(metric):
        return f"{value:.2%}"
    return f"{value:,.2f}" if abs(value) >= 100 else f"{value:.4g}"  # noqa: PLR2004 - for the eye


def comparison_words(table: MetricTable) -> str:
    """How the many intervals are to be read together."""
    several = {name: count for name, count in table.comparisons.items() if count > 1}
    if not several:
        return f"Intervals at {table.level:.6g}, clustered by subject."
    counts = ", ".join(f"{count} by {name}" for name, count in several.items())
    return (
        f"Intervals at {table.level:.6g} each, clustered by subject. There are many ({counts}), "
        f"and about one in {1 / (1 - table.level):.0f} misses by chance. A star stands where a "
        "group differs from all together also after Bonferroni's correction for its table."
    )
