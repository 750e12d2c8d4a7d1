"""What every policy has to do, whatever its kind: properties to check it by, in any situation.

Each check takes a policy and a situation and yields what is wrong, in words; nothing if all is
right. `assert_conforms` is for tests, `replay.simulator.trial` for whole classes of policies.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from math import fsum

import numpy as np
from scipy.special import chdtrc

from policy.choice import action_probability, choose, stage_pmf
from policy.policies import FloatArray, Policy
from policy.situation import Path, Situation, Stage
from replay.simulator.errors import NonConformingError

SUM_TOLERANCE = 1e-9
DRAWS = 2_000
"""Choices that the chi-square test counts."""
LIKELY = 1e-6
"""Frequencies that are less likely than this are wrong: chance alone hardly ever comes so far."""
CELL_MIN = 5.0
"""Expected counts below this are put together, or the chi-square distribution would not hold."""
ENTROPIES = (0, 1, 2**63, 2**64 - 1)

Check = Callable[[Policy, Situation], Iterator[str]]


def pmfs(policy: Policy, situation: Situation) -> Iterator[str]:
    """Each stage has one finite probability for each eligible action, and they sum to 1."""
    for path in stages(situation):
        count = len(situation.names(path))
        for pmf in (policy.pmf(situation, path), stage_pmf(policy, situation, path)):
            if problem := _pmf_problem(pmf, count):
                yield f"after {path}: {problem}"


def eligible(policy: Policy, situation: Situation) -> Iterator[str]:
    """Whole actions that are eligible have all the mass, and nothing else is ever chosen."""
    total = fsum(probability for _, probability in joint(policy, situation))
    if not abs(total - 1.0) <= SUM_TOLERANCE:
        yield f"the eligible actions have {total!r} of the mass"
    for entropy in ENTROPIES:
        offer, channel, window = situation.action(choose(policy, situation, entropy).path)
        masks = {node.offer: dict(node.channels) for node in situation.tree}
        if not masks[offer][channel] >> window & 1:
            yield f"{offer} on {channel} in window {window} was chosen and is not eligible"


def floors(policy: Policy, situation: Situation) -> Iterator[str]:
    """Where a policy declares a `floor`, each action has its even part of it at every stage."""
    floor = getattr(policy, "floor", None)
    if floor is not None:
        yield from below_floor(policy, situation, floor)


def pure(policy: Policy, situation: Situation) -> Iterator[str]:
    """Asking again gives the same, to the last bit, whatever was asked in between."""
    first = [_scribbled(stage_pmf(policy, situation, path)) for path in stages(situation)]
    features = dict(situation.features)
    for path, pmf in reversed([*zip(stages(situation), first, strict=True)]):
        if not np.array_equal(stage_pmf(policy, situation, path), pmf):
            yield f"after {path}: the pmf was another one the second time"
    if features != situation.features:
        yield "asking changed the features of the request"


def choices(policy: Policy, situation: Situation) -> Iterator[str]:
    """The same decision id gives the same choice, with exactly the probability it had."""
    for entropy in ENTROPIES:
        choice, again = (choose(policy, situation, entropy) for _ in range(2))
        if choice.path != again.path or choice.probability != again.probability:
            yield f"random bits {entropy} gave {choice.path}, then {again.path}"
        recomputed = action_probability(policy, situation, choice.path)
        if not choice.probability == recomputed > 0.0:
            yield f"{choice.path} had {choice.probability!r}; recomputed it is {recomputed!r}"


def frequencies(policy: Policy, situation: Situation) -> Iterator[str]:
    """Whole actions are drawn as often as their probabilities say, by a chi-square test."""
    drawn = Counter(choose(policy, situation, entropy).path for entropy in range(DRAWS))
    expected = {path: DRAWS * probability for path, probability in joint(policy, situation)}
    if impossible := [path for path in drawn if not expected.get(path)]:
        yield f"{impossible[0]} was drawn and has no mass"
    likely = _p_value(drawn, expected)
    if likely < LIKELY:
        yield f"the frequencies of {DRAWS:,} draws do not fit the pmf (p = {likely:.1e})"


def values(policy: Policy, situation: Situation) -> Iterator[str]:
    """Values are there for all actions of a stage, finite, or for none."""
    for path in stages(situation):
        found, shape = policy.values(situation, path), (len(situation.names(path)),)
        if found is not None and not (found.shape == shape and np.isfinite(found).all()):
            yield f"after {path}: values {found!r} for {shape[0]} actions"


def versions(policy: Policy, situation: Situation) -> Iterator[str]:
    """A policy has a name, and being asked does not change it."""
    before: object = policy.version  # whatever it is
    choose(policy, situation, 0)
    if not isinstance(before, str) or not before:
        yield f"the version is {before!r}, not a name"
    if policy.version != before:
        yield f"the version was {before!r} and became {policy.version!r}"


CHECKS: Mapping[str, Check] = {
    "pmf": pmfs,
    "eligible": eligible,
    "floor": floors,
    "pure": pure,
    "choice": choices,
    "values": values,
    "version": versions,
}
"""Checks for every situation, by name; `frequencies` takes more time and is for a few."""


def assert_conforms(policy: Policy, situation: Situation) -> None:
    """Runs all `CHECKS`, up to the first that finds anything: the others build upon it.

    Raises:
        NonConformingError: with all that this check found.
    """
    for name, check in CHECKS.items():
        if problems := [f"{name}: {problem}" for problem in check(policy, situation)]:
            raise NonConformingError(policy.version, problems)


def assert_floor(policy: Policy, situation: Situation, floor: float) -> None:
    """Checks a floor that the policy need not declare.

    Raises:
        NonConformingError: if an action has less than its even part of the floor.
    """
    if problems := list(below_floor(policy, situation, floor)):
        raise NonConformingError(policy.version, problems)


def below_floor(policy: Policy, situation: Situation, floor: float) -> Iterator[str]:
    """Stages in which an action has less than its even part of a floor."""
    for path in stages(situation):
        pmf = stage_pmf(policy, situation, path)
        least = floor / len(pmf)
        if not pmf.min() >= least * (1.0 - SUM_TOLERANCE):
            yield f"after {path}: an action has {pmf.min():.3g}; the floor gives it {least:.3g}"


def joint(policy: Policy, situation: Situation, path: Path = ()) -> Iterator[tuple[Path, float]]:
    """All whole actions after `path` with their probabilities, given the choices of `path`."""
    if len(path) == len(Stage):
        yield path, 1.0
        return
    for index, probability in enumerate(stage_pmf(policy, situation, path).tolist()):
        for whole, rest in joint(policy, situation, (*path, index)):
            yield whole, probability * rest


def paths(situation: Situation, length: int) -> Iterator[Path]:
    """All paths of a length through the tree; of 3 all actions."""
    if length == 0:
        yield ()
        return
    for path in paths(situation, length - 1):
        for index in range(len(situation.names(path))):
            yield (*path, index)


def stages(situation: Situation) -> Iterator[Path]:
    """All paths after which something is chosen."""
    for stage in Stage:
        yield from paths(situation, stage)


def _pmf_problem(pmf: FloatArray, count: int) -> str:
    if not isinstance(pmf, np.ndarray):
        return f"a {type(pmf).__name__} in place of an array"
    if pmf.shape != (count,) or pmf.dtype != np.float64:
        return f"a pmf of {pmf.dtype} and shape {pmf.shape} for {count} actions"
    if not np.isfinite(pmf).all() or pmf.min() < 0.0:
        return f"probabilities from {pmf.min()!r} to {pmf.max()!r}"
    total = fsum(pmf.tolist())
    return "" if abs(total - 1.0) <= SUM_TOLERANCE else f"the pmf sums to {total!r}"


def _scribbled(pmf: FloatArray) -> FloatArray:
    """A copy of an answer that is spoilt afterwards: nobody may go on using it."""
    kept = pmf.copy()
    if pmf.flags.writeable:
        pmf[:] = -1.0
    return kept


def _p_value(drawn: Mapping[Path, int], expected: Mapping[Path, float]) -> float:
    """How likely counts are that lie at least as far from what was expected."""
    cells = _pooled((count, drawn.get(path, 0)) for path, count in expected.items() if count)
    statistic = fsum((seen - count) ** 2 / count for count, seen in cells)
    return float(chdtrc(len(cells) - 1, statistic)) if len(cells) > 1 else 1.0


def _pooled(cells: Iterable[tuple[float, int]]) -> list[tuple[float, int]]:
    """Expected and seen counts, the rare ones put together until none is too rare for the test."""
    pooled, rare, seen_rare = [], 0.0, 0
    for count, seen in sorted(cells):
        rare, seen_rare = rare + count, seen_rare + seen
        if rare >= CELL_MIN:
            pooled.append((rare, seen_rare))
            rare, seen_rare = 0.0, 0
    return pooled
