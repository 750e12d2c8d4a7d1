"""Cross-fitting: each subject is scored by a model that has not learned from any of its decisions.

With K folds of subjects, the model that scores a fold has learned from the K - 1 others
(Chernozhukov et al. 2018, "Double/debiased machine learning"): a model that knows the rewards it is
to foresee would make `dr` as biased as `dm`.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from decisionlog import Decision
from policy.draw import hashed
from policy.policies import FloatArray, Policy
from policy.situation import Situation
from replay.errors import NothingToLearnError
from replay.join import Interaction
from replay.reward_models.chain import ChainLearner, ReadyChain
from replay.reward_models.leaves import place_of, probabilities
from replay.reward_models.names import Model, UnfittingRewardsError, model_of
from replay.reward_models.tabular import TabularLearner
from replay.source import Source
from replay.sums import Floats

FOLDS = 3
OnProgress = Callable[[int], None]


class Ready(Protocol):
    """A fitted model in one process."""

    def values(self, situations: Sequence[Situation]) -> list[FloatArray]:
        """What every whole action of each situation would earn, in the order of `leaves`."""


class Fitted(Protocol):
    """A fitted model; can be pickled."""

    def ready(self) -> Ready:
        """It, for this process."""


class Learner(Protocol):
    """Learns from a log."""

    def read(self, interaction: Interaction) -> None:
        """Takes in an interaction."""

    def learned(self, on_progress: OnProgress) -> Fitted:
        """What it has learned from all of them; they must be some.

        Args:
            on_progress: called with the interactions learned from since the last call.
        """

    def close(self) -> None:
        """Frees everything."""


@dataclass(frozen=True, slots=True)
class RewardModelPlan:
    """Which model to fit, and how."""

    name: str = Model.CHAIN.value
    folds: int = FOLDS

    @property
    def readings(self) -> int:
        """How often each decision is gone through, for progress.

        Once it is read, and then learned from by the models of all folds but its own.
        """
        return self.folds


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """A model for each fold of the subjects; can be pickled."""

    name: str
    models: tuple[Fitted, ...]

    def ready(self) -> "Scorer":
        """It, for this process."""
        return Scorer(self.name, [model.ready() for model in self.models])


class Scorer:
    """Foresees the rewards of actions by the model of their subject's fold."""

    def __init__(self, name: str, models: Sequence[Ready]) -> None:
        self._name = name
        self._models = models

    def values(self, interactions: Sequence[Interaction]) -> list[FloatArray]:
        """Of every whole action of each interaction's situation."""
        folds = [fold_of(one.decision, len(self._models)) for one in interactions]
        parts = [
            iter(
                model.values(
                    [
                        one.situation
                        for one, own in zip(interactions, folds, strict=True)
                        if own == fold
                    ]
                )
            )
            for fold, model in enumerate(self._models)
        ]
        return [next(parts[fold]) for fold in folds]

    def stage_values(self, interactions: Sequence[Interaction]) -> list[list[FloatArray]]:
        """Of each stage's actions along each interaction's path.

        Raises:
            UnfittingRewardsError: if the model does not know stages.
        """
        return [self._stages(one) for one in interactions]

    def _stages(self, interaction: Interaction) -> list[FloatArray]:
        model = self._models[fold_of(interaction.decision, len(self._models))]
        if not isinstance(model, ReadyChain):
            problem = "cannot tell what a stage is worth: take chain"
            raise UnfittingRewardsError(self._name, problem)
        path = interaction.path
        return [
            model.chain.values(interaction.situation, path[:stage]) for stage in range(len(path))
        ]


def fold_of(decision: Decision, folds: int) -> int:
    """The fold of a decision's subject."""
    return min(int(hashed(decision.subject, "fold") * folds), folds - 1)


def fit(
    source: Source, plan: RewardModelPlan, on_progress: OnProgress | None = None
) -> CrossFitted:
    """Fits a model for each fold on the interactions of the others.

    Args:
        source: read once.
        plan: which model.
        on_progress: called with the decisions read or learned from since the last call; see
            `RewardModelPlan.readings`.

    Raises:
        UnknownModelError: if there is no such model.
        ModelMissingError: if it needs a package that is not installed.
        NothingToLearnError: if some fold's model had no interactions to learn from.
    """
    model, advance = model_of(plan.name), on_progress or (lambda _: None)
    with ExitStack() as stack:
        learners = [
            stack.enter_context(closing(_learner(model, source))) for _ in range(plan.folds)
        ]
        counts = [0] * plan.folds
        for interaction in source.interactions(advance):
            own = fold_of(interaction.decision, plan.folds)
            for fold, learner in enumerate(learners):
                if fold != own:
                    learner.read(interaction)
                    counts[fold] += 1
        if not all(counts):
            raise NothingToLearnError
        return CrossFitted(plan.name, tuple(learner.learned(advance) for learner in learners))


def _learner(model: Model, source: Source) -> Learner:
    if model is Model.CHAIN:
        # Its notes lie beside the log that they repeat.
        return ChainLearner(source.catalog.exploration, source.registry.data_dir)
    return TabularLearner(model)


def q_logged(interactions: Sequence[Interaction], values: Sequence[FloatArray]) -> Floats:
    """Values of the logged actions, shape (n,)."""
    return np.asarray(
        [
            found[place_of(one.situation, one.path)]
            for one, found in zip(interactions, values, strict=True)
        ]
    )


def v_target(
    policy: Policy, interactions: Sequence[Interaction], values: Sequence[FloatArray]
) -> Floats:
    """Mean values over a policy's actions, shape (n,)."""
    return np.asarray(
        [
            float(probabilities(policy, one.situation) @ found)
            for one, found in zip(interactions, values, strict=True)
        ]
    )
