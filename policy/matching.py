"""Probability matching: how likely each action is to be the best one."""

import math

import numpy as np

from policy.compiled import compiled, inner
from policy.scores import FloatArray

# The integral reaches so many standard errors beyond the best ends, over even nodes and over some
# more about the best value: it may be known far better than the others.
TAIL_ERRORS = 4.0
EVEN_NODES, BEST_NODES = 20, 12
# Beyond so many errors the density is below 1e-14: it counts as 0, and what lies below as certain.
CERTAIN_ERRORS = 8.0
HALF_DENSITY = 0.5 / math.sqrt(2.0 * math.pi)


@compiled
def integration_nodes(logits: FloatArray, errors: FloatArray) -> FloatArray:
    """Where the integral is evaluated, ascending; shape (EVEN_NODES + BEST_NODES,)."""
    low = high = -math.inf
    best = 0
    for k in range(len(logits)):
        low = max(low, logits[k] - TAIL_ERRORS * errors[k])
        high = max(high, logits[k] + TAIL_ERRORS * errors[k])
        # Of equally good ones the best known needs them most; the catalog's order must not decide.
        if logits[k] > logits[best] or (logits[k] == logits[best] and errors[k] < errors[best]):
            best = k
    nodes = np.empty(EVEN_NODES + BEST_NODES)
    for k in range(EVEN_NODES):
        nodes[k] = low + (high - low) * (k + 0.5) / EVEN_NODES
    for k in range(BEST_NODES):
        steps = 2.0 * (k + 0.5) / BEST_NODES - 1.0
        nodes[EVEN_NODES + k] = logits[best] + TAIL_ERRORS * errors[best] * steps
    sort(nodes)
    return nodes


@inner
def sort(numbers: FloatArray) -> None:
    """Puts a few numbers in ascending order; numpy's way takes seconds to compile."""
    for k in range(1, len(numbers)):
        number, place = numbers[k], k
        while place > 0 and numbers[place - 1] > number:
            numbers[place] = numbers[place - 1]
            place -= 1
        numbers[place] = number


@compiled
def share_below(z: float) -> float:
    """The standard normal's distribution function."""
    return 0.5 * math.erfc(-z * math.sqrt(0.5))


@compiled
def share_within(left: float, right: float, mean: float, error: float) -> float:
    """The share of a normal between two numbers that are about as far apart as its error, or more.

    Its density in the middle would miss a normal that lies between two nodes.
    """
    from_, to = (left - mean) / error, (right - mean) / error
    if from_ > CERTAIN_ERRORS or to < -CERTAIN_ERRORS:
        return 0.0
    return share_below(to) - share_below(from_)


@compiled
def best_probabilities(logits: FloatArray, errors: FloatArray) -> FloatArray:
    """Probability that each action is the best one, if their values were independent normals.

    What Thompson sampling draws from (Thompson 1933), computed instead of sampled: the integral of
    one density times the others' distribution functions, cell by cell around the nodes.

    Args:
        logits: the normals' means, finite, shape (actions,).
        errors: their standard deviations, finite and above 0.

    Returns:
        Shape (actions,); sums to 1 up to rounding.
    """
    nodes = integration_nodes(logits, errors)
    mass = np.zeros(len(logits))
    below, within = np.empty(len(logits)), np.empty(len(logits))
    for k in range(len(nodes)):
        left = 0.5 * (nodes[k] + nodes[k - 1]) if k > 0 else -np.inf
        right = 0.5 * (nodes[k] + nodes[k + 1]) if k < len(nodes) - 1 else np.inf
        width = nodes[min(k + 1, len(nodes) - 1)] - nodes[max(k - 1, 0)]
        product = 1.0
        for action in range(len(logits)):
            error = errors[action]
            z = (nodes[k] - logits[action]) / error
            below[action] = share_below(z) if z < CERTAIN_ERRORS else 1.0
            if width > error:
                within[action] = share_within(left, right, logits[action], error)
            elif z < CERTAIN_ERRORS:
                within[action] = math.exp(-0.5 * z * z) / error * (width * HALF_DENSITY)
            else:
                within[action] = 0.0
            product *= below[action]
        for action in range(len(logits)):
            if below[action] > 0.0:
                mass[action] += within[action] * (product / below[action])
    total = 0.0
    for action in range(len(mass)):
        total += mass[action]
    for action in range(len(mass)):
        mass[action] /= total
    return mass
