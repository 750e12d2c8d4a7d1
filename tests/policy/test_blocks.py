"""Scores from blocks of weights: those that Vowpal Wabbit itself gives to each whole action."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import product
from math import fsum, prod, sqrt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import tokens
from policy.catalog import NO_CHANNEL, parse_catalog
from policy.chain import Chain
from policy.crosses import Crosses
from policy.eligibility import eligibility
from policy.features import Token, Tokens
from policy.learning import Student
from policy.request import Request
from policy.situation import OfferNode, Path, Situation, Stage
from policy.tables import CONTEXT_TOKENS_PER_PRECISION
from policy.tokens import example_sides, example_text
from policy.vw import FNV_PRIME, SIZE, STRIDE_SHIFT, token_hash
from tests.policy.catalogs import minimal, toml
from tests.policy.conformance import paths, stages
from tests.policy.models import actions, chain_of, scored, sets_of_crosses, taught
from tests.policy.situations import situations

HOUR_MS = 3_600_000
# VW sums some hundred terms in float32; blocks do in float64. The worst of 4,000 was a third of it.
RELATIVE, ABSOLUTE = 2e-6, 1e-5
# Namespaces whose weights tell the options of a stage apart, alone or crossed with others.
OWN = {Stage.OFFER: "or", Stage.CHANNEL: "n", Stage.SEND_TIME: "w"}

seeds = st.integers(0, 2**32 - 1)


def logits_of_vw(student: Student, situation: Situation) -> dict[Path, float]:
    """What Vowpal Wabbit itself predicts of every whole action."""
    predict = student._regression.predict
    return {path: predict(example_text(situation, path)) for path in actions(situation)}


def bests(logits: dict[Path, float], path: Path, count: int) -> list[float]:
    """The best of the actions that begin with each option after `path`."""
    return [
        max(logit for action, logit in logits.items() if action[: len(path) + 1] == (*path, option))
        for option in range(count)
    ]


@given(situations(), seeds, sets_of_crosses)
def test_an_action_scores_what_vowpal_wabbit_predicts(
    situation: Situation, seed: int, crosses: Crosses
) -> None:
    """At the last stage logits are VW's own; at the others each is the best that can follow."""
    with taught(situation, seed, crosses=crosses) as student:
        expected = logits_of_vw(student, situation)
        for path in stages(situation):
            found = student.chain.scores(situation, path).logits
            wanted = bests(expected, path, situation.count(path))
            np.testing.assert_allclose(found, wanted, rtol=RELATIVE, atol=ABSOLUTE)


@given(situations(), seeds)
def test_the_best_of_a_stage_is_the_best_of_the_next(situation: Situation, seed: int) -> None:
    """An option's logit is exactly the largest one of the stage that follows it."""
    with taught(situation, seed) as student:
        chain = student.chain
        for stage in (Stage.OFFER, Stage.CHANNEL):
            for path in paths(situation, stage):
                for option, logit in enumerate(chain.scores(situation, path).logits):
                    following = chain.scores(situation, (*path, option)).logits.max()
                    assert logit == pytest.approx(following, abs=1e-12)


@given(situations(), seeds)
def test_shares_are_the_logistic_of_the_logits(situation: Situation, seed: int) -> None:
    """Expected rewards lie between 0 and 1, as the log odds say."""
    with taught(situation, seed) as student:
        for path in stages(situation):
            scores = student.chain.scores(situation, path)
            np.testing.assert_allclose(scores.shares, 1.0 / (1.0 + np.exp(-scores.logits)))


@given(situations(), seeds)
def test_a_logit_does_not_depend_on_what_else_is_eligible(situation: Situation, seed: int) -> None:
    """With the other offers and channels gone, each action scores the same to the last bit."""
    with taught(situation, seed) as student:
        chain = student.chain
        for offer, node in enumerate(situation.tree):
            alone = replace(situation, tree=(node,))
            assert chain.scores(alone, ()).logits[0] == chain.scores(situation, ()).logits[offer]
            for channel, kept in enumerate(node.channels):
                only = replace(situation, tree=(OfferNode(node.offer, (kept,)),))
                np.testing.assert_array_equal(
                    chain.scores(only, (0, 0)).logits,
                    chain.scores(situation, (offer, channel)).logits,
                )


def apart(each: list[Tokens]) -> list[set[Token]]:
    """Of each option the tokens that not all have; all of its own if it has no others."""
    found = [set(option) for option in each]
    shared = found[0].intersection(*found[1:])
    return [option - shared or option for option in found]


def telling(situation: Situation, path: Path) -> dict[str, set[Token]]:
    """The tokens of an action that tell it from the others in the tree, by namespace."""
    catalog, grid = situation.catalog, situation.grid
    offers = situation.names(())
    nodes = [node for offer in situation.tree for node in offer.channels]
    channels = list(dict.fromkeys(node.channel for node in nodes))
    windows = list(map(tokens.window_tokens, grid.local_minutes, tokens.days_ahead(grid)))
    offer, channel, window = situation.action(path)
    found = {
        "c": set(tokens.context_tokens(situation)),
        "o": apart([catalog.offer_tokens[name] for name in offers])[offers.index(offer)],
        "n": apart([catalog.channel_tokens[name] for name in channels])[channels.index(channel)],
        "w": set[Token](),
    }
    if channel != NO_CHANNEL:
        found["w"] = apart(windows)[window]
    return found


def plain_error(chain: Chain, situation: Situation, path: Path, stage: Stage) -> float:
    """A stage's standard error of one action, one weight after the other."""
    found, squares = telling(situation, path), chain.weights[1]
    if stage is Stage.SEND_TIME and not found["w"]:
        return 1.0  # not to send has no time to choose
    precision = max(1.0, len(found["c"]) / CONTEXT_TOKENS_PER_PRECISION)
    found["r"] = set(example_sides(situation, path)["r"])
    # With what the request says of an offer goes all that the offer is.
    whole = {**found, "o": set(example_sides(situation, path)["o"])}
    variances = [
        factor**2 / (precision * size(cross, found) + float(squares[place]))
        for cross in (*OWN[stage], *chain.crosses)
        if set(cross) & set(OWN[stage])
        for place, factor in crossed(cross, whole if "r" in cross else found)
    ]
    if stage is Stage.OFFER and not found["w"]:
        # Not to send is as uncertain as the rest before anything is learned.
        context = fsum(value**2 for _, value in found["c"])
        missing = {"ow": 1.0, "onw": 1.0, "cow": context}
        variances += [missing.get(cross, 0.0) / precision for cross in chain.crosses]
    return sqrt(fsum(variances))


def size(cross: str, found: dict[str, set[Token]]) -> float:
    """By how much the options' own tokens raise the prior precision of their weights."""
    names = cross.strip("o") if "r" in cross else cross
    return prod(fsum(value**2 for _, value in found[name]) for name in names if name in "onw")


def crossed(cross: str, found: dict[str, set[Token]]) -> Iterator[tuple[int, float]]:
    """Place and factor of each weight of some crossed namespaces."""
    for picked in product(*(found[name] for name in cross)):
        hashed, factor = 0, 1.0
        for name, (text, value) in zip(cross, picked, strict=True):
            hashed = hashed * FNV_PRIME ^ token_hash(name, text)
            factor *= value
        yield (hashed >> STRIDE_SHIFT) % SIZE, factor


@given(situations(), seeds, sets_of_crosses)
def test_errors_are_summed_from_the_weights_of_the_best_action(
    situation: Situation, seed: int, crosses: Crosses
) -> None:
    """Each error is the root of the plain sum, over a stage's weights, of factor² / precision."""
    with taught(situation, seed, crosses=crosses) as student:
        chain = student.chain
        last = {
            action: chain.scores(situation, action[:2]).logits[action[2]]
            for action in actions(situation)
        }
        for path in stages(situation):
            scores = chain.scores(situation, path)
            for option, error in enumerate(scores.errors):
                known = {action for action in last if action[: len(path) + 1] == (*path, option)}
                best = max(last[action] for action in known)
                possible = [
                    plain_error(chain, situation, action, Stage(len(path)))
                    for action in known
                    if last[action] >= best - 1e-9  # of equally good ones it may be any
                ]
                assert any(error == pytest.approx(each, rel=1e-9) for each in possible)


def hours(windows: int, eligible: int) -> Situation:
    """One offer on two channels in a grid of some hours, of which only the first are eligible."""
    tables = minimal(
        channels={"email": {}, "push": {}},
        offers={"a": {"channels": ["email", "push"]}},
        send_times={"windows": windows},
    )
    request = Request(now_ms=0, latest_ms=(eligible - 1) * HOUR_MS)
    return eligibility(request, parse_catalog(toml(tables))).situation


@pytest.mark.parametrize("windows", [63, 64, 65, 128, 129, 168])
@pytest.mark.parametrize("eligible", [1, 3, 63])
def test_windows_past_the_last_eligible_one_are_not_scored(windows: int, eligible: int) -> None:
    """A grid longer than a node's mask gives scores for the eligible windows and no others."""
    situation = hours(windows, eligible)
    with taught(situation, seed=windows) as student:
        for channel in (0, 1):
            scores = student.chain.scores(situation, (0, channel))
            assert scores.logits.shape == scores.errors.shape == (eligible,)
            best = student.chain.scores(situation, (0,)).logits[channel]
            assert best == scores.logits.max()


@pytest.mark.parametrize("windows", [64, 65, 128, 168])
def test_masks_of_several_words_reach_every_window(windows: int) -> None:
    """Holes at the ends of words leave each eligible window the logit that VW gives to it."""
    situation = hours(windows, windows)
    holes = sum(1 << window for window in (0, 62, 63, 64, 65, 127, 128) if window < windows)
    (offer,) = situation.tree
    email, push = offer.channels
    channels = (email, push._replace(windows=push.windows & ~holes | 1 << windows - 1))
    situation = replace(situation, tree=(offer._replace(channels=channels),))
    with taught(situation, seed=windows) as student:
        expected = logits_of_vw(student, situation)
        for channel in (0, 1):
            found = student.chain.scores(situation, (0, channel)).logits
            wanted = bests(expected, (0, channel), situation.count((0, channel)))
            np.testing.assert_allclose(found, wanted, rtol=RELATIVE, atol=ABSOLUTE)


def test_windows_that_nothing_tells_apart_have_errors_all_the_same() -> None:
    """Where the grid is one hour that happens twice, errors are above 0 and both are as likely."""
    tables = minimal(send_times={"windows": 2, "time_zone": "Europe/Berlin"})
    start = datetime(2026, 10, 25, 2, tzinfo=ZoneInfo("Europe/Berlin"))
    request = Request(now_ms=int(start.timestamp()) * 1000)
    situation = eligibility(request, parse_catalog(toml(tables))).situation
    with taught(situation, seed=1) as student:
        scores = student.chain.scores(situation, (0, 0))
        assert (scores.errors > 0.0).all()
        np.testing.assert_array_equal(student.chain.pmf(situation, (0, 0)), [0.5, 0.5])


def test_a_new_model_knows_nothing() -> None:
    """Before anything is learned logits are 0, and errors at least those of one weight."""
    situation = hours(24, 24)
    chain = chain_of(np.zeros((2, SIZE), dtype=np.float32))
    for scores in scored(chain, situation):
        np.testing.assert_array_equal(scores.logits, 0.0)
        assert (scores.errors >= 1.0).all()
