"""Reward models: cross-fitted, ordered like the actions they score, and judged by what came."""

import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import mean

import numpy as np
import pytest

from policy.choice import choose
from policy.policies import Fixed, FloatArray, Uniform
from policy.situation import Situation
from replay.errors import NothingToLearnError
from replay.join import Interaction
from replay.log_plan import LogEvaluation, evaluate_source
from replay.reward_models import MODELS, Calibration, RewardModelPlan, fit, tabular
from replay.reward_models.crossfit import fold_of, q_logged, v_target
from replay.reward_models.encoding import Encoder, facts_of
from replay.reward_models.leaves import leaves, place_of, probabilities
from replay.reward_models.names import UnfittingRewardsError, UnknownModelError
from replay.verdict import Verdict
from tests.replay.history import History, history, offer_of
from tests.replay.worlds import OTHERWISE, WORLD, live
from tests.shop import situation

WITH_MODEL = ("snips", "dm", "dr")
TRUTH = (0.8 + OTHERWISE) / 2


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    """A log of a world with a planted preference."""
    with history(tmp_path_factory.mktemp("world") / "data", WORLD) as past:
        live(past, 900)
        yield past


def evaluated(past: History, name: str, *versions: str) -> LogEvaluation:
    """An evaluation with a reward model."""
    source = past.source()
    return evaluate_source(
        source, versions, WITH_MODEL, reward_model=fit(source, RewardModelPlan(name))
    )


@pytest.mark.parametrize("name", MODELS)
def test_models_find_the_preference(lived: History, name: str) -> None:
    """Each tells responses from failures, and makes `dr` narrower than `snips` and right."""
    found = evaluated(lived, name, "fixed/spring")
    estimates = found.policies["fixed/spring"].result.estimates
    plain, robust = estimates["snips"], estimates["dr"]
    assert plain is not None
    assert robust is not None
    low, high = robust.interval
    assert low < TRUTH < high
    assert high - low < 0.95 * (plain.interval[1] - plain.interval[0])
    assert found.reward_model is not None
    assert found.reward_model.auc is not None
    assert found.reward_model.auc > 0.8
    assert found.reward_model.log_loss is not None
    assert found.reward_model.base_log_loss is not None
    assert found.reward_model.log_loss < found.reward_model.base_log_loss
    assert found.reward_model.r2 > 0.3


def test_the_logging_policy_keeps_its_mean(lived: History) -> None:
    """`dr` of the policy that made the log is the mean reward, whatever the model says."""
    logging = evaluated(lived, "ridge", "logging").policies["logging"].result.estimates
    assert logging["dr"] is not None
    rewards = [one.reward for one in lived.source().interactions()]
    assert logging["dr"].value == pytest.approx(mean(rewards))


def test_nobody_is_scored_by_a_model_that_knows_them(lived: History) -> None:
    """Changing the rewards of a fold changes what is foreseen of the other folds alone."""
    source = lived.source()
    interactions = list(source.interactions())
    fitted = fit(source, RewardModelPlan("ridge"))
    changed = fit(Changed(interactions), RewardModelPlan("ridge"))  # type: ignore[arg-type]
    one, other = fitted.ready(), changed.ready()
    for interaction in interactions[:60]:
        same = np.array_equal(one.values([interaction]), other.values([interaction]))
        assert same == (fold_of(interaction.decision, 3) == 0)


class Changed:
    """A source in which every reward of fold 0 is another one."""

    def __init__(self, interactions: Sequence[Interaction]) -> None:
        self._interactions = interactions

    def interactions(self, _on_progress: object = None) -> Iterator[Interaction]:
        """The interactions."""
        for one in self._interactions:
            is_first = fold_of(one.decision, 3) == 0
            yield replace(one, reward=1.0 - one.reward) if is_first else one


def test_models_travel(lived: History) -> None:
    """What was fitted can be sent to another process, and foresees the same there."""
    interactions = list(lived.source().interactions())[:5]
    for name in MODELS:
        fitted = fit(lived.source(), RewardModelPlan(name))
        sent = pickle.loads(pickle.dumps(fitted))  # noqa: S301 - our own bytes
        for one in interactions:
            (here,), (there,) = fitted.ready().values([one]), sent.ready().values([one])
            assert np.array_equal(here, there)
            assert here.shape == (len(leaves(one.situation.tree)),)


def test_actions_stand_in_one_order() -> None:
    """Places, probabilities and encoded rows of whole actions agree with the stages."""
    found = situation()
    places = leaves(found.tree)
    encoder = Encoder()
    paths = [choose(Uniform(), found, turn).path for turn in range(200)]
    encoder.fit([facts_of(found, path) for path in paths])
    encoded = encoder.encode_all(found)
    for path in paths:
        place = place_of(found, path)
        offer, channel, window = places[place]
        assert (offer, channel) == path[:2]
        assert found.action(path)[2] == window
        row = encoder.encode([facts_of(found, path)])[0]
        assert np.array_equal(encoded[place], row, equal_nan=True)


@pytest.mark.parametrize("policy", [Uniform(), Fixed("spring"), Fixed("spring", "email")])
def test_probabilities_of_whole_actions(policy: Uniform | Fixed) -> None:
    """They sum to 1, and that of a path is the product of its stages."""
    found = situation()
    joint = probabilities(policy, found)
    assert joint.sum() == pytest.approx(1.0)
    for turn in range(50):
        choice = choose(policy, found, turn)
        assert joint[place_of(found, choice.path)] == pytest.approx(choice.probability)


def numbers(found: Situation) -> FloatArray:
    """A value for each action."""
    return np.arange(len(leaves(found.tree)), dtype=np.float64)


def test_columns_of_estimators(past: History) -> None:
    """The logged action's value, and the mean over the target's actions."""
    past.deliver(past.decide(eligible_offers=("spring", "loyal")))
    (one,) = past.source().interactions()
    values = [numbers(one.situation)]
    assert q_logged([one], values) == [place_of(one.situation, one.path)]
    assert v_target(Uniform(), [one], values) == pytest.approx(
        [float(probabilities(Uniform(), one.situation) @ values[0])]
    )


def test_unfitting_requests(lived: History, past: History) -> None:
    """An unknown name, too many values for a logistic model, nothing to learn: each is an error."""
    with pytest.raises(UnknownModelError, match="chain, lightgbm, logistic, ridge"):
        fit(lived.source(), RewardModelPlan("oracle"))
    with pytest.raises(NothingToLearnError):
        fit(past.source(), RewardModelPlan("ridge"))
    for turn, decision in enumerate(past.decide_all([past.ask() for _ in range(30)])):
        past.deliver(decision)
        past.reward(decision, float(turn), name="spend")
    with pytest.raises(UnfittingRewardsError, match="take ridge or lightgbm"):
        fit(past.source(), RewardModelPlan("logistic"))


MISSING = """
import sys
sys.modules["sklearn"] = None
from replay.reward_models.names import Model, ModelMissingError
from replay.reward_models.tabular import TabularLearner
try:
    TabularLearner(Model.RIDGE)
except ModelMissingError as error:
    print(error)
"""


def test_batches_change_nothing(lived: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many situations are foreseen at once, and of whatever folds."""
    interactions = list(lived.source().interactions())[:40]
    scorer = fit(lived.source(), RewardModelPlan("ridge")).ready()
    together = scorer.values(interactions)
    monkeypatch.setattr(tabular, "BATCH_ROWS", 5)
    for one, other in zip(together, scorer.values(interactions), strict=True):
        assert one == pytest.approx(other)
    for one, interaction in zip(together, interactions, strict=True):
        assert one == pytest.approx(scorer.values([interaction])[0])


@pytest.mark.parametrize("name", MODELS)
def test_progress_goes_on_while_models_are_fitted(lived: History, name: str) -> None:
    """Reading is one of its readings, learning the others: a bar does not stand still meanwhile."""
    plan, steps = RewardModelPlan(name, folds=4), list[int]()
    size = lived.source().size
    fit(lived.source(), plan, steps.append)
    interactions = len(list(lived.source().interactions()))
    assert sum(steps) == size + (plan.readings - 1) * interactions
    assert len(steps) >= size + plan.folds


def test_a_missing_package_is_named() -> None:
    """With what installs it, and what needs nothing more."""
    ran = subprocess.run(
        [sys.executable, "-c", MISSING], check=True, capture_output=True, text=True
    )
    assert ran.stdout == (
        "the reward model 'ridge' needs scikit-learn: python -m pip install scikit-learn; "
        "the model 'chain' needs nothing more\n"
    )


def calibration(foreseen: FloatArray, rewards: FloatArray) -> Calibration:
    """A calibration of rows."""
    found = Calibration("chain")
    found.add(foreseen, rewards)
    return found


def test_calibration_against_references() -> None:
    """AUC is Mann and Whitney's share of pairs, log-loss the mean loss, to the bins' width."""
    rng = np.random.default_rng(2)
    foreseen = rng.beta(1, 4, 1500)
    rewards = (rng.random(1500) < foreseen).astype(float)
    found = calibration(foreseen, rewards).result()
    hits, misses = foreseen[rewards == 1], foreseen[rewards == 0]
    assert found.auc == pytest.approx((hits[:, None] > misses).mean(), abs=2e-3)
    loss = -(rewards * np.log(foreseen) + (1 - rewards) * np.log1p(-foreseen)).mean()
    assert found.log_loss == pytest.approx(loss)
    assert found.r2 == pytest.approx(1 - ((rewards - foreseen) ** 2).sum() / (1500 * rewards.var()))
    assert sum(one.n for one in found.bins) == 1500
    assert list(found.findings()) == []
    assert all(abs(one.foreseen - one.came) < 4 * one.error for one in found.bins if one.error)


def test_calibration_merges() -> None:
    """Parts give what the whole gives."""
    rng = np.random.default_rng(3)
    foreseen, rewards = rng.normal(size=500), rng.normal(size=500)
    parts = Calibration("chain")
    for some, came in zip(np.array_split(foreseen, 7), np.array_split(rewards, 7), strict=True):
        parts.merge(calibration(some, came))
    one, other = calibration(foreseen, rewards).result(), parts.result()
    assert one.n == other.n
    assert one.auc is other.auc is None
    assert one.r2 == pytest.approx(other.r2)
    assert [each.n for each in one.bins] == [each.n for each in other.bins]


def test_a_poor_model_is_told() -> None:
    """One that knows nothing has an AUC of a half; one that promises too much is off."""
    rng = np.random.default_rng(4)
    rewards = (rng.random(5000) < 0.2).astype(float)
    (blind,) = calibration(rng.uniform(0.15, 0.25, 5000), rewards).result().findings()
    assert blind.verdict is Verdict.WARN
    assert "hardly tells responses from failures" in blind.reason
    promising = np.clip(0.5 * rewards + 0.3 * rng.random(5000), 0, 1)
    (vain,) = calibration(promising + 0.1, rewards).result().findings()
    assert "foresaw" in vain.reason
    assert list(calibration(np.ones(10), np.zeros(10)).result().findings()) == []


def test_offers_are_known_to_the_models(lived: History) -> None:
    """A tree of one offer has the values of that offer alone."""
    scorer = fit(lived.source(), RewardModelPlan("lightgbm")).ready()
    for one in list(lived.source().interactions())[:20]:
        (values,) = scorer.values([one])
        liked = {"young": "spring", "old": "loyal"}[str(one.decision.features["plan"])]
        best = one.situation.tree[int(values.argmax())].offer
        assert best == liked
        assert offer_of(one.decision) in {"spring", "loyal"}


STAGED = ("ips", "stage_ips", "stage_dr")


def test_stages_are_estimated_on_the_log(lived: History) -> None:
    """stage_ips is ips where the stages multiply; stage_dr with the chain's values is narrower."""
    source = lived.source()
    model = fit(source, RewardModelPlan("chain"))
    found = evaluate_source(source, ("fixed/spring",), STAGED, reward_model=model).policies
    plain, staged, robust = (found["fixed/spring"].result.estimates[name] for name in STAGED)
    assert plain is not None
    assert staged is not None
    assert robust is not None
    assert staged.value == pytest.approx(plain.value)
    low, high = robust.interval
    assert low < TRUTH < high
    assert high - low < 0.95 * (plain.interval[1] - plain.interval[0])
    with pytest.raises(UnfittingRewardsError, match="take chain"):
        evaluate_source(source, (), STAGED, reward_model=fit(source, RewardModelPlan("ridge")))


def test_stages_of_the_logging_policy(past: History) -> None:
    """Over several offers, channels and windows the logged stages give the mean again."""
    decisions = past.decide_all([past.ask() for _ in range(200)])
    for turn, decision in enumerate(decisions):
        past.deliver(decision)
        if turn % 3 == 0:
            past.reward(decision)
    found = evaluate_source(past.source(), ("uniform",), ("ips", "stage_ips")).policies
    for one in found.values():
        estimates = one.result.estimates
        assert estimates["stage_ips"] is not None
        assert estimates["ips"] is not None
        assert estimates["stage_ips"].value == pytest.approx(estimates["ips"].value, rel=1e-12)
