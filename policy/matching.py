"""Probability matching: how likely each action is to be the best one."""

import math

import numpy as np

from policy.compiled import compiled
from policy.scores import FloatArray

# The integral reaches so many standard errors beyond the best ends, over even nodes and over some
# more about the best value: it may be known far better than the others.
TAIL_ERRORS = 4.0
EVEN_NODES, BEST_NODES = 20, 12
# Beyond so many errors the density is below 1e-14: it counts as 0, and what lies below as certain.
CERTAIN_ERRORS = 8.0


@compiled
def integration_nodes(logits: FloatArray, errors: FloatArray) -> FloatArray:
    """Where the integral is evaluated, ascending; shape (EVEN_NODES + BEST_NODES,)."""
    low, high = (logits - TAIL_ERRORS * errors).max(), (logits + TAIL_ERRORS * errors).max()
    # Of equally good ones the best known needs them most; the catalog's order must not decide.
    best = np.where(logits == logits.max(), errors, np.inf).argmin()
    nodes = np.empty(EVEN_NODES + BEST_NODES)
    for k in range(EVEN_NODES):
        nodes[k] = low + (high - low) * (k + 0.5) / EVEN_NODES
    for k in range(BEST_NODES):
        steps = 2.0 * (k + 0.5) / BEST_NODES - 1.0
        nodes[EVEN_NODES + k] = logits[best] + TAIL_ERRORS * errors[best] * steps
    nodes.sort()
    return nodes


@compiled
def best_probabilities(logits: FloatArray, errors: FloatArray) -> FloatArray:
    """Probability that each action is the best one, if their values were independent normals.

    What Thompson sampling draws from (Thompson 1933), computed instead of sampled: the integral of
    one density times the others' distribution functions, by the trapezoid rule.

    Args:
        logits: the normals' means, finite, shape (actions,).
        errors: their standard deviations, finite and above 0.

    Returns:
        Shape (actions,); sums to 1 up to rounding.
    """
    nodes = integration_nodes(logits, errors)
    mass = np.zeros(len(logits))
    below, density = np.empty(len(logits)), np.empty(len(logits))
    for k in range(len(nodes)):
        width = nodes[min(k + 1, len(nodes) - 1)] - nodes[max(k - 1, 0)]
        product = width
        for action in range(len(logits)):
            z = (nodes[k] - logits[action]) / errors[action]
            below[action], density[action] = 1.0, 0.0
            if z < CERTAIN_ERRORS:
                below[action] = 0.5 * math.erfc(-z * math.sqrt(0.5))
                density[action] = math.exp(-0.5 * z * z) / errors[action]
            product *= below[action]
        for action in range(len(logits)):
            if below[action] > 0.0:
                mass[action] += density[action] * (product / below[action])
    return mass / mass.sum()
