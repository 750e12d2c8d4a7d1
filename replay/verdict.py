"""The rules that say whether an estimate may be used, each threshold with its reason."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

ESS_WARN = 100.0
"""Below a hundred effective rows a rate of 10% has an interval wider than itself."""
ESS_REFUSE = 30.0
"""The usual least number of rows for the normal approximation that every interval here rests on."""

SHARE_WARN = 0.05
"""One row with a twentieth of all weight moves the value by a twentieth of the rewards' range."""
SHARE_REFUSE = 0.1
"""With a tenth of all weight on one row the estimate is a report on that row, and its sample
variance, made from the same row, cannot be trusted to say so."""

MEAN_Z_WARN = 3.0
"""Chance alone goes beyond three standard errors in 1 of 370 sound logs."""
MEAN_Z_REFUSE = 5.0
"""Chance alone goes beyond five standard errors in less than 1 of a million sound logs."""
MEAN_GAP_WARN = 0.01
"""A mean weight within 1% of 1 biases no decision, however many rows make it significant: logs
that round their probabilities to four digits are that far off."""
MEAN_GAP_REFUSE = 0.05
"""A mean weight that is truly off by 5% means a bias of that order in the value."""

REWARDS_WARN = 6.0
"""With fewer, intervals of 95% that are corrected for skewness were seen to hold in 93 of 100."""
REWARDS_REFUSE = 2.5
"""With fewer, they were seen to hold in 63 to 81 of 100: the heaviest rewards did not come."""

UNSUPPORTED_WARN = 0.001
"""Where the target puts one choice in a thousand beyond the log's reach, say so."""
UNSUPPORTED_REFUSE = 0.05
"""The log says nothing on that share of the choices; the truth may lie outside any interval."""

_WHOLE_FROM = 1000.0
"""Weights from here on are shown without decimals."""


class Verdict(StrEnum):
    """Whether an estimate may be used; from the best to the worst."""

    OK = "ok"
    WARN = "warn"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with an evaluation."""

    verdict: Verdict
    reason: str
    """In words, with the number that broke the rule."""


@dataclass(frozen=True, slots=True)
class WeightSummary:
    """What the rules look at."""

    n: int
    """Interactions."""
    ess: float
    """Effective sample size, in rows."""
    max_weight: float
    max_weight_share: float
    """Largest weight as a share of the sum of all."""
    mean_weight: float
    mean_weight_se: float
    """Standard error of the mean weight; infinite for a single row."""
    mean_weight_z: float
    """Distance of the mean weight from 1 in standard errors, signed."""
    unsupported: float | None
    """Share of the target policy's choices that the logging policy could not make; None if
    unknown."""
    reward_low: float
    """Smallest reward of a row with weight; infinite if there is none."""
    reward_high: float
    """Largest reward of a row with weight; minus infinite if there is none."""
    reward_ess: float | None = None
    """Effective number of rewards, by their rarity and the weights' heaviness; None if no reward
    differs."""


def judge(summary: WeightSummary) -> tuple[Verdict, tuple[str, ...]]:
    """The gravest finding and all reasons, gravest first."""
    findings = sorted(findings_of(summary), key=lambda found: -_gravity(found.verdict))
    verdict = findings[0].verdict if findings else Verdict.OK
    return verdict, tuple(found.reason for found in findings)


def worst_first(
    verdict: Verdict, reasons: Sequence[str], more: Sequence[Finding]
) -> tuple[Verdict, tuple[str, ...]]:
    """A verdict with further findings: the gravest of all, and the reasons with graver ones first.

    Args:
        verdict: so far.
        reasons: for it, gravest first.
        more: other findings.
    """
    grave = sorted(more, key=lambda found: -_gravity(found.verdict))
    above = [found.reason for found in grave if _gravity(found.verdict) > _gravity(verdict)]
    below = [found.reason for found in grave if _gravity(found.verdict) <= _gravity(verdict)]
    worst = max([verdict, *(found.verdict for found in grave)], key=_gravity)
    return worst, (*above, *reasons, *below)


def _gravity(verdict: Verdict) -> int:
    """0 for ok, 1 for warn, 2 for refuse: the order in which the verdicts are declared."""
    return list(Verdict).index(verdict)


def findings_of(summary: WeightSummary) -> Iterator[Finding]:
    """Every rule's finding; the later rules need weight to look at."""
    if summary.n == 0:
        yield Finding(Verdict.REFUSE, "there are no interactions")
        return
    if summary.max_weight == 0:
        yield Finding(Verdict.REFUSE, "the target policy takes none of the logged actions")
        return
    for rule in (_effective_size, _largest_weight, _mean_weight, _support, _rewards, _few_rewards):
        yield from rule(summary)


def _effective_size(summary: WeightSummary) -> Iterator[Finding]:
    verdict = _above(-summary.ess, -ESS_WARN, -ESS_REFUSE)
    if verdict is not Verdict.OK:
        yield Finding(
            verdict,
            f"the effective sample size is {summary.ess:.1f} of {summary.n:,} interactions; "
            f"at least {ESS_REFUSE:.0f} are needed and {ESS_WARN:.0f} are wanted",
        )


def _largest_weight(summary: WeightSummary) -> Iterator[Finding]:
    verdict = _above(summary.max_weight_share, SHARE_WARN, SHARE_REFUSE)
    if verdict is not Verdict.OK:
        yield Finding(
            verdict,
            f"one interaction of weight {_plain(summary.max_weight)} "
            f"carries {summary.max_weight_share:.1%} of all weight",
        )


def _mean_weight(summary: WeightSummary) -> Iterator[Finding]:
    """Under the logging policy weights have mean 1: a sound log cannot be far from it."""
    distance, gap = abs(summary.mean_weight_z), abs(summary.mean_weight - 1)
    verdict = min(
        _above(distance, MEAN_Z_WARN, MEAN_Z_REFUSE),
        _above(gap, MEAN_GAP_WARN, MEAN_GAP_REFUSE),
        key=_gravity,
    )
    if verdict is not Verdict.OK:
        yield Finding(
            verdict,
            f"the mean weight is {summary.mean_weight:.4g}, not 1 ({_far(distance)}): "
            "the logged probabilities do not belong to the choices, or the log lacks actions "
            "that the target policy takes",
        )


def _support(summary: WeightSummary) -> Iterator[Finding]:
    verdict = _above(summary.unsupported or 0.0, UNSUPPORTED_WARN, UNSUPPORTED_REFUSE)
    if verdict is not Verdict.OK:
        yield Finding(
            verdict,
            f"{summary.unsupported:.1%} of the target policy's choices are actions that the "
            "logging policy could not take",
        )


def _rewards(summary: WeightSummary) -> Iterator[Finding]:
    if summary.reward_low == summary.reward_high:
        yield Finding(
            Verdict.WARN,
            f"every reward that counts is {summary.reward_low:g}: their spread is unknown, and "
            "intervals made from it are too narrow",
        )


def _few_rewards(summary: WeightSummary) -> Iterator[Finding]:
    """Rare rewards under heavy weights: many rows have weight, but few decide the estimate."""
    if summary.reward_ess is None or summary.ess < ESS_REFUSE:  # too few rows say it all
        return
    size = summary.reward_ess
    verdict = _above(-size, -REWARDS_WARN, -REWARDS_REFUSE)
    if verdict is not Verdict.OK:
        yield Finding(
            verdict,
            f"rewards so rare under weights so heavy tell as much as {size:.1f} of equal weight; "
            f"at least {REWARDS_REFUSE:g} are needed and {REWARDS_WARN:g} are wanted, or "
            "intervals miss more often than they say",
        )


def _above(value: float, warn: float, refuse: float) -> Verdict:
    if value > refuse:
        return Verdict.REFUSE
    return Verdict.WARN if value > warn else Verdict.OK


def _far(distance: float) -> str:
    return f"{distance:.1f} standard errors away" if math.isfinite(distance) else "in every row"


def _plain(weight: float) -> str:
    """A weight for people: whole from a thousand on."""
    return f"{weight:,.0f}" if weight >= _WHOLE_FROM else f"{weight:.4g}"
