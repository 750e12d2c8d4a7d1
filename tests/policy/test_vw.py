"""One Vowpal Wabbit regression: readable weights, exact files, flat memory, no bad target."""

import math
import threading
from collections.abc import Iterator
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.crosses import DEFAULT, Crosses
from policy.errors import InvalidRewardError
from policy.features import escape, feature_tokens, token_text
from policy.vw import (
    CONSTANT,
    FNV_PRIME,
    HASH_MASK,
    SIZE,
    STRIDE_SHIFT,
    Regression,
    token_hash,
)
from tests.policy.models import Lesson, lessons, sets_of_crosses
from tests.resources import resident_bytes

RATE = 0.2
# An example that is never finished keeps some kilobytes: the short run would leak 60 MiB or more.
GROWTH_BYTES_MAX = 32 * 1024 * 1024
EVERYWHERE = np.arange(SIZE)
NAMESPACES = "conwr"

texts = st.text(min_size=1, max_size=12).map(escape)


@pytest.fixture
def model() -> Iterator[Regression]:
    """A new regression."""
    found = Regression(RATE)
    yield found
    found.close()


def teach(model: Regression, seed: int, count: int) -> list[float]:
    """Learns random lessons; the logits before each."""
    return [model.learn(*lesson) for lesson in lessons(seed, count)]


def assert_same(left: Regression, right: Regression, seed: int) -> None:
    """Both predict the same, to the last bit, for random examples, and have the same weights."""
    for text, _ in lessons(seed, 100):
        assert left.predict(text) == right.predict(text)
    np.testing.assert_array_equal(left.read(EVERYWHERE), right.read(EVERYWHERE))


def changed(model: Regression) -> set[int]:
    """Places of the weights that have learned something."""
    return set(np.flatnonzero(model.read(EVERYWHERE)[1]).tolist())


def place(*tokens: tuple[str, str]) -> int:
    """Where the weight of some crossed tokens lies."""
    hashed = 0
    for namespace, text in tokens:
        hashed = hashed * FNV_PRIME ^ token_hash(namespace, text)
    return (hashed & HASH_MASK) >> STRIDE_SHIFT


def test_a_new_model_expects_even_odds(model: Regression) -> None:
    """Before anything is learned every logit and every weight is 0."""
    assert model.predict("|c t |o x") == 0.0
    assert not model.read(EVERYWHERE).any()


def test_learning_returns_the_logit_before(model: Regression) -> None:
    """What `learn` returns is what `predict` said just before, also for fractions of a reward."""
    for text, target in lessons(seed=1, count=200):
        before = model.predict(text)
        assert model.learn(text, target) == pytest.approx(before, rel=1e-5, abs=1e-6)
    assert before != 0.0


def test_predicting_teaches_nothing(model: Regression) -> None:
    """A model that was asked in between has the weights of one that was not."""
    silent = Regression(RATE)
    for text, target in lessons(seed=2, count=200):
        model.predict(text)
        model.learn(text, target)
        silent.learn(text, target)
    assert_same(model, silent, seed=3)
    silent.close()


@pytest.mark.parametrize("target", [0.0, 0.1, 0.25, 0.5, 0.9, 1.0])
def test_a_model_learns_the_mean_of_its_targets(model: Regression, target: float) -> None:
    """Repeated, the logit goes to the target's own log odds; certainty to either end."""
    for _ in range(2_000):
        model.learn("|c t |o x", target)
    share = 1.0 / (1.0 + math.exp(-model.predict("|c t |o x")))
    assert share == pytest.approx(target, abs=0.02)


def test_a_fraction_counts_as_a_share_of_both_classes(model: Regression) -> None:
    """A target of 0.25 leaves the weights of a quarter of a success and three of a failure."""
    model.learn("|c t", 0.25)
    other = Regression(RATE)
    for label, share in (("1", 0.25), ("-1", 0.75)):
        other._learn(f"{label} {share} |c t")
    np.testing.assert_array_equal(model.read(EVERYWHERE), other.read(EVERYWHERE))
    other.close()


@pytest.mark.parametrize("tiny", [5e-324, 1.43e-212, 1e-300, 1e-25, 9.9e-13])
def test_a_tiny_share_of_a_class_is_none(model: Regression, tiny: float) -> None:
    """VW, which reads some tiny numbers as infinite, gets to read none of them."""
    none = Regression(RATE)
    model.learn("|c t", tiny)
    none.learn("|c t", 0.0)
    np.testing.assert_allclose(model.read(EVERYWHERE), none.read(EVERYWHERE), rtol=1e-6)
    none.close()


@given(st.floats(0.0, 1.0))
def test_every_target_leaves_finite_weights(target: float) -> None:
    """From 0 to 1 nothing is refused, and nothing becomes infinite."""
    model = Regression(RATE)
    for _ in range(3):
        model.learn("|c t |o x", target)
    assert math.isfinite(model.predict("|c t |o x"))
    assert np.isfinite(model.read(np.array([CONSTANT, place(("c", "t"))]))).all()
    model.close()


@pytest.mark.parametrize(
    "target", [math.nan, math.inf, -math.inf, -1e-9, math.nextafter(1.0, 2.0), 2.0, -1.0, 1e39]
)
def test_a_target_outside_the_scale_is_refused(model: Regression, target: float) -> None:
    """Neither NaN nor anything below 0 or above 1 reaches the weights; the error says what came."""
    teach(model, seed=4, count=20)
    before = model.read(EVERYWHERE)
    with pytest.raises(InvalidRewardError) as caught:
        model.learn("|c cplan=1 |o _offer=0", target)
    assert repr(caught.value.reward) == repr(target)
    np.testing.assert_array_equal(model.read(EVERYWHERE), before)


def test_a_saved_model_learns_on_identically(model: Regression, tmp_path: Path) -> None:
    """A loaded model predicts what the saved one does, and learns on as that one does."""
    teach(model, seed=5, count=200)
    model.save(tmp_path / "saved.vw")
    loaded = Regression(RATE, tmp_path / "saved.vw")
    assert_same(loaded, model, seed=6)
    assert teach(model, seed=7, count=200) == teach(loaded, seed=7, count=200)
    assert_same(loaded, model, seed=8)
    loaded.close()


def test_a_loaded_model_learns_at_the_rate_it_is_given(model: Regression, tmp_path: Path) -> None:
    """A file does not keep the rate: whoever loads it says how large the next steps are."""
    model.save(tmp_path / "new.vw")
    fast, loaded = Regression(RATE * 2.0), Regression(RATE * 2.0, tmp_path / "new.vw")
    assert teach(loaded, seed=10, count=50) == teach(fast, seed=10, count=50)
    loaded.close()
    fast.close()


def test_a_higher_rate_learns_faster(model: Regression) -> None:
    """The rate is that of the learner's steps."""
    fast = Regression(RATE * 2.0)
    for each in (model, fast):
        each.learn("|c t |o x", 1.0)
    assert fast.predict("|c t |o x") > model.predict("|c t |o x") > 0.0
    fast.close()


def test_a_path_may_have_spaces(model: Regression, tmp_path: Path) -> None:
    """A model is saved to and loaded from a directory whose name has spaces."""
    path = tmp_path / "data of the shop" / "the model.vw"
    path.parent.mkdir()
    teach(model, seed=11, count=50)
    model.save(path)
    loaded = Regression(RATE, path)
    assert_same(loaded, model, seed=12)
    loaded.close()


def everything(tokens: dict[str, str], crosses: Crosses = DEFAULT) -> set[int]:
    """Places of all weights of an example with one token in each namespace."""
    known = [cross for cross in (*NAMESPACES, *crosses) if all(name in tokens for name in cross)]
    return {CONSTANT, *(place(*((name, tokens[name]) for name in cross)) for cross in known)}


@settings(max_examples=10)
@given(st.dictionaries(st.sampled_from(NAMESPACES), texts, min_size=1), sets_of_crosses)
def test_weights_lie_where_the_hashes_say(tokens: dict[str, str], crosses: Crosses) -> None:
    """VW changes the weights of constant, tokens and whatever is crossed, and no others."""
    model = Regression(RATE, crosses=crosses)
    model.learn(" ".join(f"|{name} {text}" for name, text in tokens.items()), 1.0)
    assert changed(model) == everything(tokens, crosses)
    model.close()


@settings(max_examples=10)
@given(st.dictionaries(texts, st.floats(-1e9, 1e9), min_size=1, max_size=3))
def test_a_number_lies_where_its_name_does(found: dict[str, float]) -> None:
    """The value of a feature is no part of its hash."""
    model = Regression(RATE)
    tokens = feature_tokens(found)
    model.learn(f"|c {token_text(tokens)}", 1.0)
    expected = {place(("c", text)) for text, value in tokens if value}
    assert changed(model) == {CONSTANT, *expected}
    model.close()


def test_names_of_digits_are_hashed_like_others(model: Regression) -> None:
    """Numbers as names are not their own hash, so that namespaces keep them apart."""
    model.learn("|c 7 |o 7", 1.0)
    assert changed(model) == everything({"c": "7", "o": "7"})
    assert token_hash("c", "7") != token_hash("o", "7")


def test_namespaces_keep_equal_tokens_apart() -> None:
    """The same text has another hash in each namespace."""
    hashes = {token_hash(name, text) for name, text in product(NAMESPACES, ("x", "y", "_a=1"))}
    assert len(hashes) == 3 * len(NAMESPACES)
    assert all(0 <= hashed <= HASH_MASK for hashed in hashes)


def test_no_pair_is_crossed_that_is_not_listed(model: Regression) -> None:
    """Two namespaces without a cross share no weight: facts of a request and the context."""
    listed = {frozenset(cross) for cross in DEFAULT if len(cross) == 2}
    for pair in combinations(NAMESPACES, 2):
        model.learn(" ".join(f"|{name} {''.join(pair)}" for name in pair), 1.0)
    alone = {place((name, "".join(pair))) for pair in combinations(NAMESPACES, 2) for name in pair}
    crossed = changed(model) - alone - {CONSTANT}
    assert len(crossed) == len(listed)


def test_only_the_places_asked_for_are_read(model: Regression) -> None:
    """Weights and squares come in the order of the places, each as a float32."""
    teach(model, seed=13, count=50)
    every = model.read(EVERYWHERE)
    assert every.shape == (2, SIZE)
    assert every.dtype == np.float32
    assert (every[1] >= 0.0).all()
    places = np.array([CONSTANT, place(("o", "_offer=1")), 5, CONSTANT])
    np.testing.assert_array_equal(model.read(places), every[:, places])
    assert every[1, CONSTANT] > 0.0


def test_squares_add_up_the_gradients(model: Regression) -> None:
    """After one example from even odds, a weight's sum is its squared value times a quarter."""
    model.learn("|c nx:3.0 tflag", 1.0)
    _, squares = model.read(np.array([place(("c", "nx")), place(("c", "tflag")), CONSTANT]))
    np.testing.assert_allclose(squares, [9.0 / 4.0, 1.0 / 4.0, 1.0 / 4.0], rtol=1e-6)


@pytest.mark.parametrize("exponents", [(-25.0, 9.0), (-6.0, -5.9), (-9.1, -6.1), (8.9, 9.0)])
def test_the_extremes_of_what_is_allowed_leave_a_model_that_works(
    model: Regression, exponents: tuple[float, float]
) -> None:
    """After numbers of every size, predictions and weights are finite, and so they stay."""
    rng = np.random.default_rng(14)

    def numbers(name: str) -> str:
        sizes = 10.0 ** rng.uniform(*exponents, size=2) * rng.choice([-1.0, 1.0], size=2)
        found = {f"{name}{index}": float(size) for index, size in enumerate(sizes)}
        return f"|{name} {token_text(feature_tokens(found))}"

    for _ in range(300):
        text = " ".join(map(numbers, NAMESPACES))
        model.learn(text, float(rng.random()))
        assert math.isfinite(model.predict(text))
    assert np.isfinite(model.read(EVERYWHERE)).all()


def run(*work: threading.Thread) -> None:
    """Starts threads and waits for all."""
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()


def test_threads_may_share_a_model(model: Regression) -> None:
    """Eight threads that predict at once get what one alone gets."""
    teach(model, seed=15, count=200)
    asked = [text for text, _ in lessons(seed=16, count=200)]
    expected = [model.predict(text) for text in asked]
    answers: list[list[float]] = [[] for _ in range(8)]

    def ask(answer: list[float]) -> None:
        answer += [model.predict(text) for text in asked]

    run(*(threading.Thread(target=ask, args=(answer,)) for answer in answers))
    assert answers == [expected] * 8


def test_threads_may_learn_while_others_read(model: Regression) -> None:
    """No learned example is lost or doubled when threads learn, predict and read at once."""
    failures: list[Exception] = []

    def work() -> None:
        try:
            for text, _ in lessons(seed=17, count=100):
                model.learn("|c t |o x", 1.0)
                model.predict(text)
                model.read(np.array([CONSTANT]))
        except Exception as error:  # noqa: BLE001 - reported below
            failures.append(error)

    run(*(threading.Thread(target=work) for _ in range(4)))
    alone = Regression(RATE)
    for _ in range(400):
        alone.learn("|c t |o x", 1.0)
    assert not failures
    assert_same(model, alone, seed=18)
    alone.close()


def test_a_model_may_be_closed_twice() -> None:
    """Closing again does nothing."""
    model = Regression(RATE)
    model.predict("|c t")
    model.close()
    model.close()


def unseen(seed: int, count: int) -> Iterator[Lesson]:
    """Lessons with features that never come again."""
    for number, (text, target) in enumerate(lessons(seed, count)):
        yield Lesson(f"{text} |c cnew={seed}-{number}", target)


def grown_bytes(model: Regression, count: int) -> int:
    """By how much memory grows over so many examples, after some to warm up."""
    for text, target in unseen(19, 1_000):
        model.predict(text)
        model.learn(text, target)
    before = resident_bytes()
    for text, target in unseen(20, count):
        model.predict(text)
        model.learn(text, target)
    return resident_bytes() - before


def test_memory_stays_flat(model: Regression) -> None:
    """Thousands of examples, each with a feature never seen before, keep no memory."""
    assert grown_bytes(model, count=8_000) < GROWTH_BYTES_MAX


@pytest.mark.soak
@pytest.mark.timeout(3_600)
def test_memory_stays_flat_for_long(model: Regression) -> None:
    """A million examples keep no memory."""
    assert grown_bytes(model, count=1_000_000) < GROWTH_BYTES_MAX
