"""The reference world is the design's, draw for draw, and repeats to the last bit."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.choice import choose
from policy.policies import Uniform
from replay.simulator import ReferenceWorld
from replay.simulator.errors import OutOfRangeError
from replay.simulator.reference import ACTIONS, CONTEXTS, context_of, contexts, effects
from replay.simulator.world import SEED_MAX, round_entropy

PATHS = st.tuples(*(st.integers(0, size - 1) for size in ACTIONS))
PLACES = st.tuples(*(st.integers(0, size - 1) for size in CONTEXTS))


@given(st.integers(0, SEED_MAX), PLACES, PATHS)
def test_effects_are_the_six_tables_of_the_design_in_their_order(
    seed: int, context: tuple[int, int, int], path: tuple[int, int, int]
) -> None:
    """Each effect is the sum of the entries of six tables, drawn one after the other."""
    (segment, habit, hour), (offer, channel, window) = context, path
    g = np.random.default_rng(seed)
    expected = g.normal(0, 0.9, (6, 8))[segment, offer]
    expected += g.normal(0, 0.9, (4, 3))[habit, channel]
    expected += g.normal(0, 0.9, (5, 6))[hour, window]
    expected += g.normal(0, 0.7, (8, 3))[offer, channel]
    expected += g.normal(0, 0.7, (3, 6))[channel, window]
    expected += g.normal(0, 0.4, (6, 8, 3))[segment, offer, channel]
    assert effects(np.random.default_rng(seed))[*context, *path] == pytest.approx(
        expected, rel=1e-12
    )


def test_truth_is_the_logistic_of_base_and_effects() -> None:
    """Expected rewards are 1 / (1 + exp(-(base + effect)))."""
    world = ReferenceWorld(-4.5, 5)
    for situation in world.situations():
        logits = -4.5 + effects(np.random.default_rng(5))[context_of(situation)]
        np.testing.assert_allclose(world.truth(situation), 1 / (1 + np.exp(-logits)), rtol=1e-12)


def test_there_are_120_situations_each_with_all_144_actions() -> None:
    """Every context is there once, and everything is eligible in all of them."""
    situations = ReferenceWorld().situations()
    assert len({context_of(one) for one in situations}) == len(situations) == 120
    for one in situations:
        assert one.names(()) == tuple(f"offer_{index}" for index in range(8))
        assert one.names((7,)) == ("channel_0", "channel_1", "channel_2")
        assert one.windows((7, 2)) == (0, 1, 2, 3, 4, 5)
        assert one.grid.local_minutes == tuple(
            one.grid.local_minutes[0] + 240 * k for k in range(6)
        )


def test_a_window_of_the_world_is_the_same_part_of_every_day() -> None:
    """Window 0 begins at midnight, so that its number and its local time say the same."""
    grid = ReferenceWorld().situations()[0].grid
    assert grid.local_minutes[0] % 1440 == 0
    assert grid.earliest_ms == grid.start_ms


def test_contexts_are_uniform_integers_of_their_own_generator() -> None:
    """A round's context is drawn from `default_rng(1000 + seed)`: segment, habit, hour in turn."""
    g = np.random.default_rng(1003)
    expected = [tuple(int(g.integers(size)) for size in (6, 4, 5)) for _ in range(300)]
    assert list(contexts(3, 300)) == expected
    counts = np.zeros(CONTEXTS)
    for context in contexts(3, 60_000):
        counts[context] += 1  # 500 expected each, sd 22
    assert 350 < counts.min() < counts.max() < 650


@given(st.integers(0, SEED_MAX), st.integers(0, 50), st.integers(0, 50))
def test_more_rounds_only_add_to_fewer(seed: int, fewer: int, more: int) -> None:
    """The first rounds do not depend on how many follow."""
    both = list(contexts(seed, fewer + more))
    assert list(contexts(seed, fewer)) == both[:fewer]
    assert len(both) == fewer + more


def test_chunks_leave_no_seam() -> None:
    """A run over several chunks has the contexts of one single draw."""
    g = np.random.default_rng(1000)
    expected = g.integers((6, 4, 5), size=(10_000, 3)).tolist()
    assert list(map(list, contexts(0, 10_000))) == expected


def test_rewards_are_as_frequent_as_the_truth_says() -> None:
    """Over many rounds, clicks of evenly chosen actions agree with their expected rewards."""
    world = ReferenceWorld(-1.0, 2)
    given, expected, variance = 0.0, 0.0, 0.0
    for encounter in world.encounters(20_000):
        path = choose(Uniform(), encounter.situation, encounter.entropy).path
        p = float(encounter.truth[path])
        given += world.outcome(encounter, path).reward
        expected, variance = expected + p, variance + p * (1 - p)
    assert 0 < given < 20_000
    assert abs(given - expected) < 5 * variance**0.5


def test_all_policies_meet_the_same_luck() -> None:
    """In one round a better action earns a reward wherever a worse one does."""
    world = ReferenceWorld()
    differing = 0
    for encounter in world.encounters(200):
        truth = encounter.truth
        order = np.argsort(truth, axis=None)
        paths = [tuple(map(int, np.unravel_index(flat, truth.shape))) for flat in order]
        rewards = [world.outcome(encounter, path).reward for path in paths]
        assert rewards == sorted(rewards)
        differing += rewards[0] != rewards[-1]
    assert differing > 20


def test_two_worlds_of_one_seed_are_equal_and_of_two_seeds_are_not() -> None:
    """Base and seed are all that a world depends on."""
    one, same, other = ReferenceWorld(-3.2, 1), ReferenceWorld(-3.2, 1), ReferenceWorld(-3.2, 2)
    for a, b, c in islice(
        zip(one.encounters(50), same.encounters(50), other.encounters(50), strict=True), 50
    ):
        assert a.situation == b.situation
        assert a.entropy == b.entropy != c.entropy
        np.testing.assert_array_equal(a.truth, b.truth)
        assert (a.truth != c.truth).all()


def test_the_truth_cannot_be_changed_by_a_reader() -> None:
    """Writing to the truth of an encounter is refused."""
    encounter = next(ReferenceWorld().encounters(1))
    with pytest.raises(ValueError, match="read-only"):
        encounter.truth[0, 0, 0] = 1.0


@pytest.mark.parametrize(
    ("base", "seed"), [(20.1, 0), (-21.0, 0), (float("nan"), 0), (0.0, -1), (0.0, SEED_MAX + 1)]
)
def test_settings_out_of_range_are_refused(base: float, seed: int) -> None:
    """A base or seed beyond the limits is told with those limits."""
    with pytest.raises(OutOfRangeError) as refused:
        ReferenceWorld(base, seed)
    assert refused.value.setting in {"base", "seed"}
    assert refused.value.low < refused.value.high


@given(
    st.lists(st.tuples(st.integers(0, SEED_MAX), st.integers(0, 10**9)), min_size=2, unique=True)
)
def test_no_two_rounds_share_their_random_bits(rounds: list[tuple[int, int]]) -> None:
    """The bits of a round are its own, and there are at most 64 of them."""
    bits = [round_entropy(seed, turn) for seed, turn in rounds]
    assert len(set(bits)) == len(bits)
    assert all(0 <= each < 2**64 for each in bits)
