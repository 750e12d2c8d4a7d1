"""One Vowpal Wabbit model: cached examples change nothing, memory stays flat, files are exact."""

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from policy import vw
from policy.errors import InvalidRewardError
from policy.exploration import Exploration
from policy.features import feature_text
from policy.learning import untrained
from policy.situation import Stage
from policy.vw import REWARD_MAX, Model
from tests.policy.models import ARGUMENTS, PlainModel, Round, learned, rounds
from tests.resources import resident_bytes

# One leaked example takes up to 31 KiB: the short run would leak 120 MiB, the long one 15 GiB.
GROWTH_BYTES_MAX = 32 * 1024 * 1024


@pytest.fixture
def model() -> Iterator[Model]:
    """A new model."""
    model = Model(ARGUMENTS)
    yield model
    model.close()


def learn(model: Model | PlainModel, found: Round) -> None:
    """Learns from a whole round."""
    model.learn(found.shared, found.actions, found.chosen, found.reward)


def assert_same(left: Model, right: Model | PlainModel, seed: int, count: int = 100) -> None:
    """Both give the same values, to the last bit, for random rounds."""
    for found in rounds(seed, count):
        expected = right.values(found.shared, found.actions)
        np.testing.assert_array_equal(left.values(found.shared, found.actions), expected)


def test_cached_examples_give_the_values_of_fresh_ones(model: Model) -> None:
    """Values equal those of parsing every line anew, to the last bit, before and while learning."""
    plain = PlainModel()
    for found in rounds(seed=1, count=500):
        expected = plain.values(found.shared, found.actions)
        np.testing.assert_array_equal(model.values(found.shared, found.actions), expected)
        learn(model, found)
        learn(plain, found)


def test_cached_examples_give_the_weights_of_fresh_ones(model: Model, tmp_path: Path) -> None:
    """After the same rounds the weights are those of parsing every line anew, byte for byte."""
    plain = PlainModel()
    for found in rounds(seed=2, count=500):
        learn(model, found)
        learn(plain, found)
    assert learned(model, tmp_path)
    assert learned(model, tmp_path) == learned(plain, tmp_path)


def test_scoring_teaches_nothing(model: Model, tmp_path: Path) -> None:
    """A model that was asked for values in between has the weights of one that was not."""
    silent = Model(ARGUMENTS)
    for found in rounds(seed=3, count=200):
        model.values(found.shared, found.actions)
        learn(model, found)
        learn(silent, found)
    assert learned(model, tmp_path) == learned(silent, tmp_path)
    silent.close()


def test_equal_actions_are_scored_each(model: Model, tmp_path: Path) -> None:
    """Actions that look the same, such as an hour that happens twice, get the same value each."""
    plain = PlainModel()
    for found in rounds(seed=4, count=300):
        twice = Round(found.shared, found.actions * 2, found.chosen, found.reward)
        values = model.values(twice.shared, twice.actions)
        np.testing.assert_array_equal(values, plain.values(twice.shared, twice.actions))
        first, second = np.split(values, 2)
        np.testing.assert_array_equal(first, second)
        learn(model, twice)
        learn(plain, twice)
    assert learned(model, tmp_path) == learned(plain, tmp_path)


@pytest.mark.parametrize("cached", [0, 1, 5])
def test_trimming_the_cache_changes_nothing(
    model: Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cached: int
) -> None:
    """Values and weights are the same however few examples are kept."""
    monkeypatch.setattr(vw, "CACHED_MAX", cached)
    plain = PlainModel()
    for found in rounds(seed=5, count=200):
        expected = plain.values(found.shared, found.actions)
        np.testing.assert_array_equal(model.values(found.shared, found.actions), expected)
        learn(model, found)
        learn(plain, found)
        assert model.cached <= cached
    assert learned(model, tmp_path) == learned(plain, tmp_path)


def test_a_saved_model_gives_the_same_values(model: Model, tmp_path: Path) -> None:
    """A loaded model gives the values of the saved one, and learns on as that one does."""
    for found in rounds(seed=6, count=200):
        learn(model, found)
    model.save(tmp_path / "saved.vw")
    loaded = Model("", tmp_path / "saved.vw")
    assert_same(loaded, model, seed=7)
    for found in rounds(seed=8, count=200):
        learn(model, found)
        learn(loaded, found)
    assert_same(loaded, model, seed=9)
    loaded.close()


def test_a_path_may_have_spaces(model: Model, tmp_path: Path) -> None:
    """A model is saved to and loaded from a directory whose name has spaces."""
    path = tmp_path / "data of the shop" / "offer model.vw"
    path.parent.mkdir()
    for found in rounds(seed=10, count=50):
        learn(model, found)
    model.save(path)
    loaded = Model("", path)
    assert_same(loaded, model, seed=11)
    loaded.close()


@pytest.mark.parametrize(
    "reward", [math.nan, math.inf, -math.inf, REWARD_MAX * 1.001, -REWARD_MAX * 1.001, 1e15, 1e39]
)
def test_a_reward_that_would_spoil_the_model_is_refused(
    model: Model, tmp_path: Path, reward: float
) -> None:
    """Neither NaN nor a number too large for float32's squares ever reaches the weights."""
    before = learned(model, tmp_path)
    with pytest.raises(InvalidRewardError) as caught:
        model.learn("|c t", ["|a x", "|a y"], 0, reward)
    assert repr(caught.value.reward) == repr(reward)
    assert learned(model, tmp_path) == before


@pytest.mark.parametrize("reward", [5e-324, -4.819e-122, 1.43e-212, -1e-300, 1e-25, -0.0])
def test_a_tiny_reward_is_zero(model: Model, reward: float) -> None:
    """VW, which reads some tiny numbers as infinite, gets to read 0."""
    model.learn("|c t", ["|a x", "|a y"], 0, reward)
    np.testing.assert_array_equal(model.values("|c t", ["|a x", "|a y"]), 0.0)


@pytest.mark.parametrize("stage", Stage)
@pytest.mark.parametrize("exponents", [(-25.0, 9.0), (-6.0, -5.9), (-9.1, -6.1), (8.9, 9.0)])
def test_the_extremes_of_what_is_allowed_leave_a_model_that_works(
    stage: Stage, exponents: tuple[float, float]
) -> None:
    """After numbers and rewards of every size, values are finite, and so they stay."""
    model = untrained(Exploration()).models[stage]
    rng = np.random.default_rng(stage)
    least, most = exponents

    def numbers(name: str) -> str:
        sizes = 10.0 ** rng.uniform(least, most, size=2) * rng.choice([-1.0, 1.0], size=2)
        return feature_text({f"{name}{index}": float(size) for index, size in enumerate(sizes)})

    for _ in range(300):
        shared = f"|c {numbers('c')} |o {numbers('o')} |r {numbers('r')} |h {numbers('h')}"
        actions = [f"|a {numbers('a')} |r {numbers('r')}" for _ in range(3)]
        reward = float(rng.choice([-1.0, 1.0]) * 10.0 ** rng.uniform(-25.0, 9.0))
        model.learn(shared, actions, int(rng.integers(3)), reward)
        assert np.isfinite(model.values(shared, actions)).all()
    for _ in range(100):
        model.learn("|c t", ["|a x", "|a y"], 0, 1.0)
    assert np.isfinite(model.values("|c t", ["|a x", "|a y"])).all()
    model.close()


def test_a_model_learns_the_reward_of_the_chosen_action_alone(model: Model) -> None:
    """The chosen action's value goes to its reward; one that was never chosen stays at 0."""
    for _ in range(300):
        model.learn("|c", ["|a x", "|a y", "|a z"], 1, 2.0)
        model.learn("|c", ["|a x", "|a y", "|a z"], 0, -1.0)
    values = model.values("|c", ["|a x", "|a y"])
    np.testing.assert_allclose(values, [-1.0, 2.0], atol=0.2)


def test_a_new_model_values_nothing(model: Model) -> None:
    """Before anything is learned every value is 0, and not a negative 0."""
    values = model.values("|c", ["|a x", "|a y", "|a z"])
    assert [repr(float(value)) for value in values] == ["0.0"] * 3


def test_threads_may_share_a_model(model: Model) -> None:
    """Eight threads that score at once get what one alone gets."""
    for found in rounds(seed=12, count=200):
        learn(model, found)
    asked = list(rounds(seed=13, count=200))
    expected = [model.values(found.shared, found.actions) for found in asked]
    answers: list[list[np.ndarray]] = [[] for _ in range(8)]

    def ask(answer: list[np.ndarray]) -> None:
        answer += [model.values(found.shared, found.actions) for found in asked]

    threads = [threading.Thread(target=ask, args=(answer,)) for answer in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for answer in answers:
        for value, wanted in zip(answer, expected, strict=True):
            np.testing.assert_array_equal(value, wanted)


def test_threads_may_learn_while_others_score(model: Model) -> None:
    """No learned round is lost or doubled when threads learn and score at once."""
    asked = list(rounds(seed=14, count=100))
    failures: list[Exception] = []

    def work() -> None:
        try:
            for found in asked:
                model.learn("|c", ["|a x", "|a y"], 0, 1.0)
                model.values(found.shared, found.actions)
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = PlainModel()
    for _ in range(400):
        alone.learn("|c", ["|a x", "|a y"], 0, 1.0)
    assert not failures
    expected = alone.values("|c", ["|a x", "|a y"])
    np.testing.assert_array_equal(model.values("|c", ["|a x", "|a y"]), expected)


def test_a_model_may_be_closed_twice() -> None:
    """Closing again does nothing."""
    model = Model(ARGUMENTS)
    model.values("|c", ["|a x"])
    model.close()
    model.close()


def grown_bytes(model: Model, count: int) -> int:
    """By how much memory grows over so many rounds, after some to warm up."""
    for found in rounds(seed=15, count=1_000):
        model.values(found.shared, found.actions)
        learn(model, found)
    before = resident_bytes()
    for found in rounds(seed=16, count=count):
        model.values(found.shared, found.actions)
        learn(model, found)
    return resident_bytes() - before


def test_memory_stays_flat(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of rounds, most with features never seen before, keep no memory."""
    monkeypatch.setattr(vw, "CACHED_MAX", 256)
    assert grown_bytes(model, count=4_000) < GROWTH_BYTES_MAX


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_memory_stays_flat_for_long(model: Model) -> None:
    """Half a million rounds with the shipped size of the cache, once it is full, keep no memory."""
    grown_bytes(model, count=20_000)
    assert grown_bytes(model, count=500_000) < GROWTH_BYTES_MAX
