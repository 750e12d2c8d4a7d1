"""Learners that `sendwise simulate` knows: today's chain, baselines and peers, by name."""

from collections.abc import Callable, Mapping
from typing import Protocol

from policy.best_so_far import BestSoFar
from policy.examples import example
from policy.exploration import Exploration
from policy.extent import Extent
from policy.learning import Student, terms_of
from policy.policies import FloatArray, Policy, Uniform
from policy.situation import Path, Situation
from replay.simulator.errors import UnknownLearnerError, UnusableLearnerError
from replay.simulator.lines import ccb_lines, slates_lines
from replay.simulator.own import checked_pmf, own_policy
from replay.simulator.peers import Joint, Slots

# The peers may cross all that the chain may: namespaces as in `replay.simulator.lines`.
CROSSED = "-q co -q cn -q cw -q on -q nw -q ow --cubic con -b 18"
# A slot sees only its own action: there is nothing else to cross.
SLOTTED = "-q co -q cn -q cw -b 18"
BEST_SO_FAR = "best_so_far"
LOOKS_FROM = 128
"""Outcomes before the chain looks at the rewards' dispersion."""
MISTAKEN = 1.5
"""A dispersion that differs by this factor makes it learn again."""


class Learner(Policy, Protocol):
    """A policy that learns from each of its choices."""

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """Learns what the action at the end of `path` earned; may change every pmf."""

    def close(self) -> None:
        """Frees what it holds; it must not be used afterwards."""


class AsLearner:
    """Any policy as a learner: it learns if it can, and otherwise stays what it is."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.floor: float | None = getattr(policy, "floor", None)

    @property
    def version(self) -> str:
        """See `Policy`."""
        return self._policy.version

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self._policy.pmf(situation, path)

    def values(self, situation: Situation, path: Path) -> FloatArray | None:
        """See `Policy`."""
        return self._policy.values(situation, path)

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """See `Learner`."""
        if hasattr(self._policy, "learn"):
            self._policy.learn(situation, path, reward)

    def close(self) -> None:
        """See `Learner`."""
        if hasattr(self._policy, "close"):
            self._policy.close()


class OnlineChain:
    """The product's chain, learning at once from each outcome.

    How rewards are scaled has to be known before learning. So it learns all again, as a training
    run does, when rewards turn out to be other than it took them for; it begins with 0 and 1.
    """

    version = "chain"

    def __init__(self, exploration: Exploration | None = None) -> None:
        """Makes an untrained chain, with the catalog's default exploration if none is given."""
        self._exploration = exploration or Exploration()
        self.floor = self._exploration.floor
        self._student = Student(self._exploration)
        self._extent = Extent()
        self._lived: list[tuple[Situation, Path, float]] = []

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self._student.chain.pmf(situation, path)

    def values(self, situation: Situation, path: Path) -> FloatArray:
        """See `Policy`."""
        return self._student.chain.values(situation, path)

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """See `Learner`."""
        self._lived.append((situation, path, reward))
        self._extent.add(reward, terms_of(situation, path))
        if self._is_mistaken(reward):
            self._learn_again()
        else:
            self._student.learn(situation, path, reward)

    def close(self) -> None:
        """See `Learner`."""
        self._student.close()

    def _is_mistaken(self, reward: float) -> bool:
        scale, count = self._student.scale, self._extent.count
        if not scale.low <= reward <= scale.high:
            return True
        # Looking at each doubling, all looks together cost as much as one run.
        is_doubled = count >= LOOKS_FROM and count & (count - 1) == 0
        ratio = self._extent.scale.dispersion / scale.dispersion
        return is_doubled and not 1.0 / MISTAKEN < ratio < MISTAKEN

    def _learn_again(self) -> None:
        self._student.close()
        self._student = Student(self._exploration, self._extent.scale, self._extent.terms)
        for situation, path, reward in self._lived:
            self._student.learn_example(example(situation, path), reward)


# Every peer runs at the settings that were best for it in other worlds than those of the benchmark:
# docs/decisions/0004-peers-in-the-simulator.md. Labels without weights were best for all.


def joint() -> Learner:
    """SquareCB over all actions at once."""
    arguments = f"--cb_explore_adf --squarecb --gamma_scale 100 -l 5 {CROSSED}"
    return Joint("joint", arguments, weighted=False)


def epsilon() -> Learner:
    """ε-greedy over all actions at once."""
    arguments = f"--cb_explore_adf --epsilon 0.05 -l 2 {CROSSED}"
    return Joint("epsilon", arguments, weighted=False)


def no_context() -> Learner:
    """SquareCB over all actions at once, without knowing of whom or when."""
    arguments = f"--cb_explore_adf --squarecb --gamma_scale 100 {CROSSED} --ignore c"
    return Joint("no_context", arguments, weighted=False)


def slates() -> Learner:
    """Slates with SquareCB."""
    arguments = f"--slates --squarecb --gamma_scale 100 {SLOTTED}"
    return Slots("slates", arguments, slates_lines, weighted=False)


def ccb() -> Learner:
    """Conditional contextual bandits with SquareCB."""
    arguments = f"--ccb_explore_adf --squarecb --gamma_scale 10 {SLOTTED}"
    return Slots("ccb", arguments, ccb_lines, weighted=False)


LEARNERS: Mapping[str, Callable[[], Learner]] = {
    "chain": OnlineChain,
    "joint": joint,
    "slates": slates,
    "ccb": ccb,
    "epsilon": epsilon,
    "no_context": no_context,
    BEST_SO_FAR: lambda: BestSoFar(BEST_SO_FAR, Exploration()),
    "uniform": lambda: AsLearner(Uniform()),
}
"""What makes each learner, by name."""


class CheckedLearner(AsLearner):
    """Somebody's class in a run: what it answers is checked every time."""

    def __init__(self, spec: str) -> None:
        super().__init__(own_policy(spec))
        self._spec = spec

    def pmf(self, situation: Situation, path: Path) -> FloatArray:
        """See `checked_pmf`."""
        return checked_pmf(self._policy, self._spec, situation, path)

    def learn(self, situation: Situation, path: Path, reward: float) -> None:
        """See `Learner`.

        Raises:
            UnusableLearnerError: if it raises.
        """
        try:
            super().learn(situation, path, reward)
        except Exception as error:  # whatever somebody's class raises
            problem = f"its learn raised {type(error).__name__}: {error}"
            raise UnusableLearnerError(self._spec, problem) from error


def make_checked_learner(name: str) -> Learner:
    """As `make_learner`; only a class of one's own has to be checked."""
    return CheckedLearner(name) if ":" in name else make_learner(name)


def make_learner(name: str) -> Learner:
    """A new learner that knows nothing.

    Args:
        name: one of `LEARNERS`, or `module:Class` for a class of your own.

    Raises:
        UnknownLearnerError: if there is none of this name.
        UnusableLearnerError: if the class cannot be imported or made, or is no policy.
    """
    if ":" in name:
        return AsLearner(own_policy(name))
    if name not in LEARNERS:
        raise UnknownLearnerError(name, list(LEARNERS))
    return LEARNERS[name]()
