"""Reward models as commands ask for them: which one, for which estimators, fitted to a log."""

from collections.abc import Sequence

from cli.output import progress
from replay.estimators import ESTIMATORS, choose_estimators
from replay.reward_models import CrossFitted, RewardModelPlan, fit
from replay.reward_models.names import Model
from replay.source import Source
from replay.stages import STAGE_PROBABILITIES, STAGE_VALUES


def estimators_of(asked: Sequence[str] | None, reward_model: str | None) -> Sequence[str]:
    """Those that were asked for; with a reward model those that use it as well."""
    if reward_model is None:
        return choose_estimators(asked, STAGE_PROBABILITIES)
    stages = STAGE_VALUES if reward_model == Model.CHAIN else ()
    columns = (*STAGE_PROBABILITIES, "q_logged", "v_target", *stages)
    return choose_estimators(asked, columns)


def model_for(estimators: Sequence[str], asked: str | None) -> str | None:
    """The chain, if nobody says which, and one of the estimators cannot do without."""
    needed = any(
        {"q_logged", "v_target", *STAGE_VALUES} & set(ESTIMATORS[name].needs)
        for name in estimators
        if name in ESTIMATORS
    )
    return asked or (Model.CHAIN.value if needed else None)


def fitted(opened: Source, name: str | None, folds: int) -> CrossFitted | None:
    """A model fitted to a log, with a bar; None without a name."""
    if name is None:
        return None
    plan = RewardModelPlan(name, folds)
    with progress(f"Fitting {name}", plan.readings * opened.size) as advance:
        return fit(opened, plan, advance)
