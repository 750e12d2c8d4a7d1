"""What is kept to be fast changes nothing: neither what is learned, nor how likely anything is."""

from dataclasses import replace
from typing import get_args

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.choice import path_pmfs
from policy.crosses import Crosses
from policy.exploration import Exploration, Name
from policy.policies import FloatArray
from policy.situation import Situation
from policy.vw import Weights
from tests.policy.afresh import afresh, copied, forget
from tests.policy.models import actions, chain_of, scored, sets_of_crosses, taught
from tests.policy.situations import situations

seeds = st.integers(0, 2**32 - 1)
KINDS = [Exploration(name=name) for name in get_args(Name)]


@given(situations(), seeds)
def test_no_cache_changes_a_bit_of_a_score(situation: Situation, seed: int) -> None:
    """Again, after everything was forgotten, and with an equal tree and catalog: the same bits."""
    with taught(situation, seed) as student:
        weights = student.chain.weights
        chain = chain_of(weights)
        answers = [scored(chain, situation), scored(chain, situation)]
        forget()
        anew = replace(situation, tree=copied(situation.tree))
        answers += [scored(chain_of(weights), anew), scored(chain, anew)]
        other = replace(anew, catalog=situation.catalog.model_copy())
        answers.append(scored(chain_of(weights), other))
    first, *rest = answers
    for again in rest:
        for left, right in zip(first, again, strict=True):
            np.testing.assert_array_equal(left.logits, right.logits)
            np.testing.assert_array_equal(left.errors, right.errors)


def pmfs(weights: Weights, crosses: Crosses, situation: Situation) -> list[FloatArray]:
    """With every kind of exploration, the pmfs along the path of each action."""
    return [
        pmf
        for exploration in KINDS
        for path in actions(situation)
        for pmf in path_pmfs(chain_of(weights, exploration, crosses), situation, path)
    ]


@settings(max_examples=20)
@given(situations(), seeds, sets_of_crosses)
def test_no_cache_changes_what_is_learned(
    situation: Situation, seed: int, crosses: Crosses
) -> None:
    """Taught with everything kept, or forgotten before each lesson: equal weights, equal pmfs.

    To the last bit, for all kinds of exploration.
    """
    with (
        taught(situation, seed, crosses=crosses) as student,
        taught(situation, seed, crosses=crosses, told=afresh) as forgetful,
    ):
        kept, anew = student.chain.weights, forgetful.chain.weights
    np.testing.assert_array_equal(anew, kept)
    with_caches = pmfs(kept, crosses, situation)
    without = pmfs(anew, crosses, afresh(situation))
    for left, right in zip(with_caches, without, strict=True):
        np.testing.assert_array_equal(left, right)
