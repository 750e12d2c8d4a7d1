"""Prints what evaluations found, and states it as contracts do."""

from collections.abc import Mapping, Sequence
from typing import Any

from cli.intervals import against_logging, comparison_json
from cli.output import line, table
from replay.estimate import Estimate, optional_json
from replay.evaluation import EvaluationResult
from replay.formats import level as percent
from replay.join import Left
from replay.log_evaluation import LOGGING, Unusable
from replay.log_plan import LogEvaluation


def show_log(results: LogEvaluation, chosen: Sequence[str]) -> None:
    """What a log says of some policies, in words."""
    show_results({name: results.policies[name].result for name in chosen})
    for name in chosen:
        if name != LOGGING:
            line(against_logging(name, results.policies[name]))
        if unusable := results.policies[name].unusable:
            line(f"{name}: interactions that cannot speak for it: {_in_words(unusable)}")
    if results.left:
        line(f"decisions left out: {_in_words(results.left)}")


def log_json(results: LogEvaluation, chosen: Sequence[str]) -> Mapping[str, Any]:
    """The same for programs: one policy's result as it is, several by name."""
    found = {
        name: {
            **results.policies[name].result.to_json(),
            "difference": optional_json(results.policies[name].difference),
            "comparison": comparison_json(results.policies[name]),
            "unusable": _counts(results.policies[name].unusable),
        }
        for name in chosen
    }
    several = next(iter(found.values())) if len(found) == 1 else {"policies": found}
    model = results.reward_model
    facts = {} if model is None else {"reward_model": model.to_json()}
    return {**several, **facts, "log": results.log.facts, "left_out": _counts(results.left)}


def show_results(results: Mapping[str, EvaluationResult]) -> None:
    """Estimates of some policies as a table, and what speaks against them."""
    rows = []
    (level,) = {found.level for found in results.values()}
    for name, found in results.items():
        for estimator in found.estimates:
            estimate = found.headline(estimator)
            shown = (
                ("refused", "") if estimate is None else (f"{estimate.value:.6g}", _span(estimate))
            )
            rows.append(
                (
                    name,
                    estimator + _chosen(estimate),
                    *shown,
                    f"{found.n:,}",
                    f"{found.weights_of(estimator).ess:,.0f}",
                )
            )
    table(("policy", "estimator", "value", f"{percent(level)} interval", "n", "ess"), rows)
    for name, found in results.items():
        for reason in found.diagnosis.reasons:
            line(f"{name}: {found.verdict.value}: {reason}")


def _counts(counts: Mapping[Left, int] | Mapping[Unusable, int]) -> dict[str, int]:
    return {reason.value: count for reason, count in counts.items()}


def _in_words(counts: Mapping[Left, int] | Mapping[Unusable, int]) -> str:
    return ", ".join(
        f"{count:,} {reason.replace('_', ' ')}" for reason, count in _counts(counts).items()
    )


def _chosen(estimate: Estimate | None) -> str:
    """What an estimator chose from the data, in brackets; mostly nothing."""
    parameters = {} if estimate is None else estimate.parameters
    words = ", ".join(f"{name} {value:.4g}" for name, value in parameters.items())
    return f" ({words})" if words else ""


def _span(estimate: Estimate) -> str:
    low, high = estimate.interval
    return f"{low:.6g} to {high:.6g}"
