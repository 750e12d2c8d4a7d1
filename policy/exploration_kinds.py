"""Exploration in compiled code: from logits and errors to a pmf, by kind."""

import math
from typing import NamedTuple

import numpy as np

from policy.compiled import compiled, inner
from policy.matching import best_probabilities
from policy.scores import FloatArray

MATCHING, SQUARECB, EPSILON, SOFTMAX, GREEDY = range(5)


class Rule(NamedTuple):
    """How scores become probabilities; numbers that a kind does not use change nothing."""

    kind: int
    floor: float
    error_scale: float
    gamma: float
    """squarecb: γ, for the interactions that the model has learned from."""
    epsilon: float
    temperature: float


@compiled
def explored(rule: Rule, logits: FloatArray, errors: FloatArray) -> FloatArray:
    """Probability of each action, given finite scores; shape (actions,)."""
    if rule.kind == MATCHING:
        pmf = matching(logits, errors, rule.error_scale)
    elif rule.kind == SQUARECB:
        pmf = squarecb(shares_of(logits), rule.gamma)
    elif rule.kind == SOFTMAX:
        pmf = softmax(shares_of(logits), rule.temperature)
    else:
        pmf = greedy(logits)
    if rule.kind == EPSILON:
        spread_evenly(pmf, rule.epsilon)
    spread_evenly(pmf, rule.floor)
    make_sum_one(pmf)
    return pmf


@inner
def spread_evenly(pmf: FloatArray, share: float) -> None:
    """Spreads a share of a pmf evenly."""
    for action in range(len(pmf)):
        pmf[action] = (1.0 - share) * pmf[action] + share / len(pmf)


@inner
def make_sum_one(pmf: FloatArray) -> None:
    """Divides by the sum."""
    total = 0.0
    for action in range(len(pmf)):
        total += pmf[action]
    for action in range(len(pmf)):
        pmf[action] /= total


@compiled
def all_finite(numbers: FloatArray) -> bool:
    """Whether none is infinite or NaN."""
    for number in numbers:  # noqa: SIM110 - compiled code has no generators
        if not math.isfinite(number):
            return False
    return True


@inner
def highest(numbers: FloatArray) -> float:
    """The largest of some finite numbers."""
    best = -math.inf
    for number in numbers:
        best = max(best, number)
    return best


@inner
def matching(logits: FloatArray, errors: FloatArray, error_scale: float) -> FloatArray:
    """How likely each is to be the best one."""
    scaled = np.empty(len(errors))
    for action in range(len(errors)):
        scaled[action] = error_scale * errors[action]
    return best_probabilities(logits, scaled)


@inner
def shares_of(logits: FloatArray) -> FloatArray:
    """Logits as expected rewards on the scale from 0 to 1."""
    # Not numpy's exp: its last bits depend on the processor, and pmfs must not.
    shares = np.empty(len(logits))
    for action in range(len(logits)):
        less = math.exp(-abs(logits[action]))
        shares[action] = (1.0 if logits[action] >= 0.0 else less) / (1.0 + less)
    return shares


@inner
def greedy(logits: FloatArray) -> FloatArray:
    """All mass on the best; ties share it."""
    best, pmf = highest(logits), np.empty(len(logits))
    for action in range(len(logits)):
        pmf[action] = 1.0 if logits[action] == best else 0.0
    make_sum_one(pmf)
    return pmf


@inner
def softmax(shares: FloatArray, temperature: float) -> FloatArray:
    """Weights that fall exponentially with the gap to the best."""
    best, pmf = highest(shares), np.empty(len(shares))
    for action in range(len(shares)):
        # A gap of -inf has no weight, as is right.
        pmf[action] = math.exp((shares[action] - best) / temperature)
    make_sum_one(pmf)
    return pmf


@inner
def squarecb(shares: FloatArray, gamma: float) -> FloatArray:
    """Inverse-gap weighting (Abe and Long 1999; Foster and Rakhlin 2020, SquareCB)."""
    best, pmf = highest(shares), np.empty(len(shares))
    others, ties = 0.0, 0
    for action in range(len(shares)):
        pmf[action] = 1.0 / (len(shares) + gamma * (best - shares[action]))
        if shares[action] == best:
            ties += 1
        else:
            others += pmf[action]
    for action in range(len(shares)):
        if shares[action] == best:
            pmf[action] = (1.0 - others) / ties
    return pmf
