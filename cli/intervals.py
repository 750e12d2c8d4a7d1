"""Options of intervals, for every command that makes some."""

import math
from typing import Annotated, Any

import typer

from replay.estimate import NO_BOUNDS, Bounds
from replay.intervals.settings import IntervalSettings, Method
from replay.log_evaluation import PolicyEvaluation
from replay.verdict import Verdict

Interval = Annotated[
    Method,
    typer.Option(
        "--interval",
        help="How they are made. bernstein and sequence need --bounds, bernstein --max-weight.",
    ),
]
Level = Annotated[float, typer.Option(help="Confidence level of the intervals.")]
Cluster = Annotated[
    bool | None,
    typer.Option(
        "--cluster/--no-cluster",
        help="Whether rows of one subject may depend on each other.",
        show_default="if there are subjects",
    ),
]
RewardBounds = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--bounds", help="Smallest and largest reward that there can be.", metavar="LOW HIGH"
    ),
]
MaxWeight = Annotated[
    float | None,
    typer.Option("--max-weight", help="Largest importance weight that there can be, 1 or more."),
]


def interval_settings(
    method: Method,
    *,
    clustered: bool | None,
    bounds: tuple[float, float] | None,
    max_weight: float | None,
) -> IntervalSettings:
    """The options as settings.

    Raises:
        SettingError: They make no sense, or lack what the method needs.
    """
    return IntervalSettings(
        method,
        clustered,
        NO_BOUNDS if bounds is None else Bounds(*bounds),
        math.inf if max_weight is None else max_weight,
    )


def against_logging(name: str, found: PolicyEvaluation) -> str:
    """A line about a policy against the logging policy; what is refused gives no number."""
    comparison = found.comparison
    if comparison is None or found.result.verdict is Verdict.REFUSE:
        return f"against the logging policy, {name} cannot be compared"
    low, high = comparison.difference.interval
    interval = f"{low:+.6g} to {high:+.6g}"
    value = comparison.difference.value
    text = f"against the logging policy, {name} is {comparison.words}: {value:+.6g} ({interval})"
    return f"{text}; {comparison.among}" if comparison.among else text


def comparison_json(found: PolicyEvaluation) -> dict[str, Any] | None:
    """The comparison as the contract states it; None if there is none."""
    return None if found.comparison is None else found.comparison.to_json()
