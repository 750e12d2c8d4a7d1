"""Keyed draws: uniform, independent, and the same for ever."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import chi2, chisquare

from policy.draw import hashed, pick, uniform

# With fixed entropies the outcome is fixed too: a test that passes never fails by chance.
LIKELY = 1e-4
purposes = st.text(st.characters(codec="ascii"), max_size=16)
entropies = st.integers(0, 2**64 - 1)
weights = st.lists(st.one_of(st.just(0.0), st.floats(1e-12, 1.0)), min_size=1, max_size=40).filter(
    any
)


def pmf_of(found: list[float]) -> NDArray[np.float64]:
    """A pmf in proportion to weights."""
    return np.asarray(np.array(found) / np.sum(found), dtype=np.float64)


@given(entropies, purposes)
def test_a_draw_is_in_the_half_open_interval(entropy: int, purpose: str) -> None:
    """A draw is at least 0 and below 1, a multiple of 2**-53, and always the same."""
    draw = uniform(entropy, purpose)
    assert 0.0 <= draw < 1.0
    assert (draw * 2**53).is_integer()
    assert draw == uniform(entropy, purpose)


def test_draws_never_change() -> None:
    """These numbers are in logs; if this test fails, old choices can no longer be recomputed."""
    draws = [uniform(2**64 - 1, purpose) for purpose in ("offer", "channel", "send_time")]
    assert [draw.hex() for draw in draws] == PINNED_DRAWS
    assert hashed(b"subject", "arm").hex() == PINNED_ARM


PINNED_DRAWS = ["0x1.5da7d340110d5p-1", "0x1.6402771e697ccp-2", "0x1.c47c0f40ecda2p-2"]
PINNED_ARM = "0x1.7a4558fd1dd34p-2"


def test_draws_are_uniform() -> None:
    """Over 20,000 entropies in a row each hundredth of the interval is equally likely."""
    draws = [uniform(entropy, "offer") for entropy in range(20_000)]
    counts = np.bincount([int(100 * draw) for draw in draws], minlength=100)
    assert chisquare(counts).pvalue > LIKELY


def test_draws_for_different_purposes_are_independent() -> None:
    """Knowing the draw of the offer says nothing about that of the channel."""
    cells = [
        int(10 * uniform(entropy, "offer")) * 10 + int(10 * uniform(entropy, "channel"))
        for entropy in range(20_000)
    ]
    assert chisquare(np.bincount(cells, minlength=100)).pvalue > LIKELY


def test_entropy_has_64_bits() -> None:
    """More bits than a decision id has are a mistake, not silently cut off."""
    with pytest.raises(OverflowError):
        uniform(2**64, "offer")


@given(weights, st.floats(0.0, 1.0, exclude_max=True))
def test_the_first_action_whose_running_sum_exceeds_the_draw_is_picked(
    found: list[float], draw: float
) -> None:
    """The pick is what the wire's documentation says, and never has no mass."""
    pmf = pmf_of(found)
    index = pick(pmf, draw)
    assert pmf[index] > 0.0
    sums = np.cumsum(pmf)
    assert index == 0 or sums[index - 1] <= draw
    assert sums[index] > draw or not pmf[index + 1 :].any()


@pytest.mark.parametrize("draw", [0.0, 0.5, 1.0 - 2.0**-53])
def test_an_action_without_mass_is_never_picked(draw: float) -> None:
    """At the ends of the interval too, actions with probability 0 are passed over."""
    assert pick(np.array([0.0, 0.0, 1.0, 0.0]), draw) == 2


def test_a_sum_a_hair_below_one_leaves_no_gap() -> None:
    """Ten tenths sum to less than the largest draw: the last action with mass takes it."""
    pmf = np.array([0.1] * 10 + [0.0])
    assert np.cumsum(pmf)[-1] <= 1.0 - 2.0**-53
    assert pick(pmf, 1.0 - 2.0**-53) == 9


@pytest.mark.parametrize(
    "pmf",
    [[0.5, 0.5], [0.01, 0.99], [0.1, 0.0, 0.2, 0.7], [0.05] * 20, [0.002] * 5 + [0.99]],
)
def test_frequencies_match_the_pmf(pmf: list[float]) -> None:
    """Over 20,000 entropies the picks agree with the pmf by a chi-square test."""
    picks = [pick(np.array(pmf), uniform(entropy, "channel")) for entropy in range(20_000)]
    counts = np.bincount(picks, minlength=len(pmf))
    expected = 20_000 * np.array(pmf)
    assert not counts[expected == 0.0].any()
    kept = expected > 0.0
    statistic = float(((counts - expected)[kept] ** 2 / expected[kept]).sum())
    assert chi2.sf(statistic, kept.sum() - 1) > LIKELY
