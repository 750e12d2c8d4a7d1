"""The diagnostics count right, and refuse what cannot be trusted, with the reason in words."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.worlds import SHAPES, Shape
from replay import verdict
from replay.diagnostics import Diagnosis, Diagnostics
from replay.evaluation import Evaluation
from replay.histogram import EDGES, Bins, WeightHistogram
from replay.sample import Sample
from replay.verdict import Verdict, WeightSummary, judge
from tests.replay.samples import Row, logs, sample_of, shuffle, weights_of

SOUND = WeightSummary(
    n=10_000,
    ess=4_000.0,
    max_weight=3.0,
    max_weight_share=0.0003,
    mean_weight=1.001,
    mean_weight_se=0.01,
    mean_weight_z=0.1,
    unsupported=None,
    reward_low=0.0,
    reward_high=1.0,
    reward_ess=40.0,
)


def changed(**values: float | None) -> WeightSummary:
    """A sound summary but for some values."""
    kept = {name: getattr(SOUND, name) for name in WeightSummary.__slots__}
    return WeightSummary(**{**kept, **values})


def diagnosed(sample: Sample) -> Diagnosis:
    """The diagnosis of one sample."""
    diagnostics = Diagnostics()
    diagnostics.add(sample)
    return diagnostics.result()


def weighing(weights: list[float], reward: list[float] | None = None) -> Sample:
    """A sample with given weights: the logged probability is the inverse of the largest."""
    largest = max(*weights, 1.0)
    chances = np.array(weights) / largest
    rewards = (
        (np.arange(len(weights)) % 2).astype(np.float64) if reward is None else np.array(reward)
    )
    return Sample(rewards, np.full(len(weights), 1 / largest), chances)


@given(rows=logs())
def test_the_numbers_follow_their_formulas(rows: list[Row]) -> None:
    """Sizes, shares and the mean weight equal their definitions, computed in fractions."""
    weights = weights_of(rows)
    total, squares = sum(weights, Fraction(0)), sum((w * w for w in weights), Fraction(0))
    mean = total / len(rows)
    spread = sum(((w - mean) ** 2 for w in weights), Fraction(0)) / (len(rows) - 1)
    found = diagnosed(sample_of(rows)).summary
    assert found.n == len(rows)
    assert found.max_weight == float(max(weights))
    assert found.mean_weight == float(mean)
    assert found.mean_weight_se == pytest.approx(math.sqrt(spread / len(rows)), rel=1e-12)
    assert found.ess == (pytest.approx(float(total**2 / squares)) if squares else 0)
    assert found.max_weight_share == (pytest.approx(float(max(weights) / total)) if total else 0)


@given(rows=logs(), seed=st.integers(0, 99), cut=st.integers(0, 25))
def test_order_and_split_change_nothing(rows: list[Row], seed: int, cut: int) -> None:
    """Shuffled, cut and merged, the rows give the same diagnosis, bit for bit."""
    shuffled = shuffle(rows, seed)
    first, second = Diagnostics(), Diagnostics()
    first.add(sample_of(shuffled[:cut]))
    second.add(sample_of(shuffled[cut:]))
    second.merge(first)
    assert second.result() == diagnosed(sample_of(rows))


def test_one_weight_of_a_million_is_refused() -> None:
    """Among ten thousand rows one weight of a million is refused, and named as the reason."""
    found = diagnosed(weighing([1e6] + [1.0] * 9_999))
    assert found.verdict is Verdict.REFUSE
    assert any("one interaction of weight 1,000,000 carries 99.0%" in r for r in found.reasons)


def test_a_sound_log_is_ok() -> None:
    """Weights of 0 and 3 from an even choice among three pass without a reason."""
    found = diagnosed(weighing([0.0, 0.0, 3.0] * 1_000))
    assert (found.verdict, found.reasons) == (Verdict.OK, ())


def test_probabilities_that_do_not_belong_are_refused() -> None:
    """Logged probabilities that the choices do not follow show in the mean weight."""
    generator = np.random.default_rng(8)
    n = 5_000
    truth = np.where(generator.uniform(size=n) < 0.8, 0.8, 0.2)
    claimed, target = 1 - truth, np.full(n, 0.5)
    found = diagnosed(Sample(generator.uniform(size=n), claimed, target))
    assert found.verdict is Verdict.REFUSE
    assert any("do not belong to the choices" in reason for reason in found.reasons)
    assert diagnosed(Sample(generator.uniform(size=n), truth, target)).verdict is Verdict.OK


def test_no_overlap_is_refused() -> None:
    """A target that takes none of the logged actions has that as its only reason."""
    found = diagnosed(weighing([0.0] * 500))
    assert found.verdict is Verdict.REFUSE
    assert found.reasons == ("the target policy takes none of the logged actions",)


def test_nothing_is_refused() -> None:
    """No rows at all are refused rather than passed."""
    found = Diagnostics().result()
    assert (found.verdict, found.reasons) == (Verdict.REFUSE, ("there are no interactions",))


def test_one_row_is_refused() -> None:
    """A single row has no standard error and too small a sample."""
    found = diagnosed(weighing([1.0]))
    assert found.verdict is Verdict.REFUSE
    assert found.summary.mean_weight_se == math.inf


def test_equal_rewards_are_a_warning() -> None:
    """Where no reward differs an interval has no width, which is said."""
    found = diagnosed(weighing([1.0] * 500, reward=[0.0] * 500))
    assert found.verdict is Verdict.WARN
    assert "every reward that counts is 0" in found.reasons[0]


def test_rewards_without_weight_do_not_count() -> None:
    """Rewards of actions that the target never takes say nothing about spread."""
    found = diagnosed(weighing([0.0, 2.0] * 300, reward=[1.0, 0.0] * 300))
    assert "every reward that counts is 0" in " ".join(found.reasons)


def test_rewards_of_equal_weight_are_counted() -> None:
    """Nine equal clicks among many rows of one weight are nine, but for their own rate."""
    n, clicks = 10_000, 9
    found = diagnosed(weighing([1.0] * n, reward=[1.0] * clicks + [0.0] * (n - clicks)))
    assert found.summary.reward_ess == pytest.approx(clicks, rel=0.01)
    assert (found.verdict, found.reasons) == (Verdict.OK, ())


@pytest.mark.parametrize("scale", [1.0, 1e50, -1e-9])
def test_the_effective_number_of_rewards_follows_its_formula(scale: float) -> None:
    """It is made from third moments, of weights about 0 and of rewards that count about theirs."""
    generator = np.random.default_rng(4)
    weights = np.append(np.zeros(50), np.exp(generator.normal(size=400)))
    rewards = np.where(generator.uniform(size=450) < 0.1, generator.uniform(size=450), 0.0)
    found = diagnosed(weighing(weights.tolist(), reward=(scale * rewards + scale).tolist()))
    used = weighing(weights.tolist()).weight
    away = rewards[50:] - rewards[50:].mean()
    alone = np.sum(away**2) ** 3 / np.sum(away**3) ** 2
    expected = alone * np.sum(used**2) ** 3 / np.sum(used**3) ** 2 / 400
    assert found.summary.reward_ess == pytest.approx(expected, rel=1e-6)


def test_the_heaviest_weights_leave_no_overflow() -> None:
    """Weights and rewards at the ends of what is allowed are counted all the same."""
    p_log = np.array([1e-60, 1e-60, 1.0])
    sample = Sample(np.array([1e60, 0.0, 0.0]), p_log, np.ones(3))
    assert diagnosed(sample).summary.reward_ess == pytest.approx(2.0, rel=1e-9)


def test_rewards_far_from_zero_are_not_suspected() -> None:
    """A shift so large that cubes round away all skewness makes no log unsound."""
    reward = 1e7 + np.arange(2_000.0) % 2
    found = diagnosed(weighing([1.0] * 2_000, reward=reward.tolist()))
    assert (found.verdict, found.reasons) == (Verdict.OK, ())


@pytest.mark.parametrize("seed", range(3))
def test_rare_clicks_under_heavy_weights_are_refused(seed: int) -> None:
    """Where every interval misses one truth in three, since the heaviest clicks did not come."""
    shape = Shape(n=3_000, base=-5.0, sharpness=2.2)
    found = diagnosed(shape.draw(np.random.default_rng(seed)).sample)
    assert found.verdict is Verdict.REFUSE
    assert "rewards so rare under weights so heavy" in found.reasons[0]


@pytest.mark.parametrize("name", ["binary", "rare", "heavy weights", "clustered"])
def test_sound_shapes_have_rewards_enough(name: str) -> None:
    """The shapes of the coverage study, on which intervals hold, are not suspected."""
    for seed in range(5):
        found = diagnosed(SHAPES[name].draw(np.random.default_rng(seed)).sample)
        assert not any("rewards so rare" in reason for reason in found.reasons)


def test_missing_support_is_measured() -> None:
    """The target's mass beyond the log's reach is averaged over the rows that state it."""
    n = 400
    stated = Sample(
        (np.arange(n) % 2).astype(np.float64), np.ones(n), np.ones(n), p_unsupported=np.full(n, 0.2)
    )
    diagnostics = Diagnostics()
    diagnostics.add(stated)
    diagnostics.add(weighing([1.0] * n))
    found = diagnostics.result()
    assert found.summary.unsupported == pytest.approx(0.2)
    assert found.verdict is Verdict.REFUSE
    assert "could not take" in found.reasons[0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, Verdict.OK),
        ({"ess": verdict.ESS_WARN}, Verdict.OK),
        ({"ess": verdict.ESS_WARN - 1}, Verdict.WARN),
        ({"ess": verdict.ESS_REFUSE - 1}, Verdict.REFUSE),
        ({"max_weight_share": verdict.SHARE_WARN + 0.001}, Verdict.WARN),
        ({"max_weight_share": verdict.SHARE_REFUSE + 0.001}, Verdict.REFUSE),
        ({"mean_weight": 1.04, "mean_weight_z": 4.0}, Verdict.WARN),
        ({"mean_weight": 0.9, "mean_weight_z": -4.0}, Verdict.WARN),
        ({"mean_weight": 0.9, "mean_weight_z": -6.0}, Verdict.REFUSE),
        ({"mean_weight": 0.9, "mean_weight_z": -math.inf}, Verdict.REFUSE),
        ({"mean_weight": 1.0005, "mean_weight_z": 40.0}, Verdict.OK),
        ({"mean_weight": 1.5, "mean_weight_z": 1.0}, Verdict.OK),
        ({"unsupported": 0.0}, Verdict.OK),
        ({"unsupported": 0.01}, Verdict.WARN),
        ({"unsupported": 0.06}, Verdict.REFUSE),
        ({"reward_low": 1.0}, Verdict.WARN),
        ({"reward_ess": None}, Verdict.OK),
        ({"reward_ess": verdict.REWARDS_WARN}, Verdict.OK),
        ({"reward_ess": verdict.REWARDS_WARN - 0.1}, Verdict.WARN),
        ({"reward_ess": verdict.REWARDS_REFUSE - 0.1}, Verdict.REFUSE),
    ],
)
def test_each_rule_has_its_thresholds(values: dict[str, float | None], expected: Verdict) -> None:
    """Each number leads to its verdict, with a reason unless all is well."""
    found, reasons = judge(changed(**values))
    assert found is expected
    assert bool(reasons) is (expected is not Verdict.OK)


def test_the_gravest_reason_stands_first() -> None:
    """A refusal is read before a warning."""
    found, reasons = judge(changed(ess=50.0, max_weight_share=0.5))
    assert found is Verdict.REFUSE
    assert "carries 50.0%" in reasons[0]
    assert "effective sample size is 50.0" in reasons[1]


@given(weights=st.lists(st.floats(0, 1e7), min_size=1, max_size=50), cut=st.integers(0, 50))
def test_the_histogram_counts_every_weight_once(weights: list[float], cut: int) -> None:
    """Split and merged, each weight is in the one bin that holds it, or among the zeros."""
    total, rest = WeightHistogram(), WeightHistogram()
    whole = weighing(weights)
    for histogram, chosen in ((total, slice(cut)), (rest, slice(cut, None))):
        histogram.add(Sample(whole.reward[chosen], whole.p_log[chosen], whole.p_target[chosen]))
    total.merge(rest)
    found = total.result()
    positive = np.clip(whole.weight[whole.weight > 0], EDGES[0], np.nextafter(EDGES[-1], 0))
    assert list(found.counts) == np.histogram(positive, EDGES)[0].tolist()
    assert found.zeros == len(weights) - positive.size


def test_trimmed_bins_keep_what_is_filled() -> None:
    """Empty bins go at the ends and stay in the middle."""
    bins = Bins((1.0, 2.0, 4.0, 8.0, 16.0, 32.0), (0, 3, 0, 2, 0), zeros=7)
    assert bins.trimmed() == Bins((2.0, 4.0, 8.0, 16.0), (3, 0, 2), zeros=7)
    empty = Bins((1.0, 2.0), (0,), zeros=1)
    assert empty.trimmed() == empty


def one_heavy(name: str) -> Sample:
    """A sound log, but that one row weighs half a million as an estimator weighs it."""
    n = 10_000
    clicks = np.arange(n) % 10 == 0
    odd = np.where(np.arange(n) == 0, 1e-6, 0.5)
    p_log, p_target = np.full(n, 1e-6), np.full(n, 0.5)
    others = {
        "balanced_ips": {"p_log": p_target, "p_mixture": odd},
        "mips": {"p_log": p_log, "p_log_features": odd, "p_target_features": p_target},
    }
    return Sample(reward=clicks * 1.0, p_target=p_target, **others[name])  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["balanced_ips", "mips"])
def test_an_estimator_is_judged_by_its_own_weights(name: str) -> None:
    """A value of 50 for rewards of 0 and 1 is refused, whatever p_target / p_log looks like."""
    sample = one_heavy(name)
    alone = Evaluation([name])
    alone.add(sample)
    found = alone.result()
    estimate = found.estimates[name]
    assert estimate is not None
    assert estimate.value > 40
    assert found.verdict is Verdict.REFUSE
    assert found.diagnosis.summary.max_weight == 500_000
    assert "weights" not in found.to_json()


def test_the_worst_of_several_weights_counts() -> None:
    """Beside `ips`, whose weights are even, reasons and JSON name who weighs otherwise."""
    sample = one_heavy("balanced_ips")
    halves = Evaluation(["ips", "balanced_ips"]), Evaluation(["ips", "balanced_ips"])
    halves[0].add(sample)
    assert Evaluation(["ips"]).result().weights == {}
    halves[1].merge(halves[0])
    found = halves[1].result()
    assert found.diagnosis.summary.max_weight == 1.0
    assert found.weights_of("balanced_ips").max_weight == 500_000
    assert found.verdict is Verdict.REFUSE
    assert found.diagnosis.reasons[0].startswith("by the weights of balanced_ips, the effective")
    assert found.to_json()["weights"]["balanced_ips"]["ess"] < 2


def test_weights_on_the_way_count() -> None:
    """An offer that is a million times as likely is heard by `stage_dr`, though w is 1 again."""
    n, odd = 10_000, np.arange(10_000) == 0
    even = np.ones(n)
    columns = {
        f"{p}_{s}": even for p in ("p_log", "p_target") for s in ("offer", "channel", "time")
    }
    columns |= {f"{kind}_{s}": even * 0.5 for kind in "qv" for s in ("offer", "channel", "time")}
    columns["p_log_offer"] = columns["p_target_channel"] = np.where(odd, 1e-6, 1.0)
    columns["v_channel"] = np.where(odd, 1.0, 0.5)
    whole = np.where(odd, 1e-6, 1.0)
    evaluation = Evaluation(["stage_dr"])
    evaluation.add(Sample((np.arange(n) % 2) * 1.0, whole, whole, **columns))  # type: ignore[arg-type]
    found = evaluation.result()
    assert found.diagnosis.summary.max_weight == 1.0
    assert found.weights["stage_dr.offer"].max_weight == pytest.approx(1e6)
    assert found.verdict is Verdict.REFUSE
    assert found.diagnosis.reasons[0].startswith("by the weights of stage_dr.offer, the effective")
