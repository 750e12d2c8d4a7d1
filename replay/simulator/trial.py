"""Runs the conformance kit on a class of policies, before and after they have learned."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np

from policy.choice import choose, stage_pmf
from policy.policies import Policy
from policy.situation import Situation
from replay.simulator.cases import Case, cases
from replay.simulator.conformance import CHECKS, frequencies, stages
from replay.simulator.learners import Learner

CASES = 30
"""Situations of a trial."""
FREQUENCIES_EVERY = 10
"""Draws are counted in each of so many situations only: each count asks thousands of times."""
REWARDS = (1.0, 0.0, -2.0, 0.5, 100.0)
"""What a learner is told between two situations, in turn."""
FREQUENCIES, TWINS, LEARN, HOSTILE = "frequencies", "twins", "learn", "hostile"
STATEMENTS: Mapping[str, str] = {
    **{name: str(check.__doc__) for name, check in CHECKS.items()},
    FREQUENCIES: str(frequencies.__doc__),
    TWINS: "Two that were made and taught alike give the same pmfs, to the last bit.",
    LEARN: "Any choice may be learned from, whatever it earned.",
    HOSTILE: "All of this holds whatever features a caller sends.",
}
"""What each property says, by name."""


LearnerCheck = Callable[[Learner, Situation], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Property:
    """What was found of one property."""

    name: str
    problem: str
    """The first thing that was wrong, and where; empty if nothing was."""

    @property
    def statement(self) -> str:
        """What the property says."""
        return STATEMENTS[self.name]

    @property
    def held(self) -> bool:
        """Whether nothing was wrong."""
        return not self.problem


@dataclass(frozen=True, slots=True)
class Trial:
    """What was found of all properties."""

    policy: str
    situations: int
    properties: tuple[Property, ...]

    @property
    def held(self) -> bool:
        """Whether all properties held."""
        return all(one.held for one in self.properties)

    def to_json(self) -> Mapping[str, Any]:
        """The findings as plain values."""
        found = [
            {"name": one.name, "statement": one.statement, "held": one.held, "problem": one.problem}
            for one in self.properties
        ]
        return {"conforms": self.held, "situations": self.situations, "properties": found}


def run_trial(
    name: str,
    make: Callable[[], Learner],
    seed: int = 0,
    situations: int = CASES,
    on_progress: Callable[[int], None] | None = None,
) -> Trial:
    """Checks all properties of a class of policies.

    Args:
        name: what the class is called.
        make: makes a new one that knows nothing; two are made, taught alike and compared.
        seed: of the situations; the same one gives the same trial.
        situations: how many.
        on_progress: called with the situations done since the last call.
    """
    problems: dict[str, str] = {}
    with closing(make()) as learner, closing(make()) as twin:
        for number, case in enumerate(cases(seed, situations)):
            for found, problem in _problems(learner, twin, number, case):
                problems.setdefault(found, f"situation {number}: {problem}")
            if on_progress:
                on_progress(1)
    properties = tuple(Property(each, problems.get(each, "")) for each in STATEMENTS)
    return Trial(name, situations, properties)


def _problems(
    learner: Learner, twin: Learner, number: int, case: Case
) -> Iterator[tuple[str, str]]:
    """What is wrong in one case, by property; then both learn from it."""
    checks: dict[str, LearnerCheck] = {**CHECKS, TWINS: _twins(twin)}
    if number % FREQUENCIES_EVERY == 0:
        checks[FREQUENCIES] = frequencies
    checks[LEARN] = _learning(twin, number)
    for name, check in checks.items():
        for problem in _tried(check, learner, case.situation):
            yield (HOSTILE, f"{name}: {problem}") if case.hostile else (name, problem)


def _tried(check: LearnerCheck, learner: Learner, situation: Situation) -> Iterator[str]:
    """What a check finds; that it raises is a finding like any other."""
    try:
        yield from check(learner, situation)
    except Exception as error:  # noqa: BLE001 - whatever somebody's policy raises
        yield f"raised {type(error).__name__}: {error}"


def _twins(twin: Policy) -> LearnerCheck:
    def check(policy: Policy, situation: Situation) -> Iterator[str]:
        for path in stages(situation):
            first, second = (stage_pmf(each, situation, path) for each in (policy, twin))
            if not np.array_equal(first, second):
                yield f"after {path}: the pmfs of two that learned the same differ"

    return check


def _learning(twin: Learner, number: int) -> LearnerCheck:
    """Has both learn from a few choices of the first; finds nothing unless one raises."""

    def check(learner: Learner, situation: Situation) -> Iterator[str]:
        for turn, reward in enumerate(REWARDS):
            path = choose(learner, situation, number << 8 | turn).path
            for each in (learner, twin):
                each.learn(situation, path, reward)
        yield from ()

    return check
