"""New offers, channels and windows are usable at once, and nothing that was learned is lost."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.catalog import parse_catalog
from policy.eligibility import eligibility
from policy.exploration import Exploration
from policy.learning import Student
from policy.request import Request
from policy.situation import Situation
from tests.policy.catalogs import minimal, toml
from tests.policy.conformance import assert_conforms, assert_floor
from tests.policy.models import actions

OLD: dict[str, Any] = {
    "channels": {"email": {}, "push": {}},
    "offers": {"a": {"channels": ["email", "push"]}, "b": {"channels": ["push"]}},
    "send_times": {"windows": 3},
}
NEW: dict[str, Any] = {
    "channels": {**OLD["channels"], "sms": {}},
    "offers": {
        "a": {"channels": ["email", "push", "sms"]},
        "b": {"channels": ["push", "sms"]},
        "c": {"channels": ["email", "sms"]},
    },
    "send_times": {"windows": 5},
}
FEATURES = st.dictionaries(st.sampled_from(["plan", "city"]), st.sampled_from(["x", "y"]))


def shop(tables: dict[str, Any], features: dict[str, str]) -> Situation:
    """What may be sent by a catalog."""
    catalog = parse_catalog(toml(minimal(**tables)))
    return eligibility(Request(now_ms=0, features={**features}), catalog).situation


@pytest.fixture(scope="module")
def student() -> Iterator[Student]:
    """One that learned in the shop as it was, what happens to pay."""
    found, rng = Student(Exploration()), np.random.default_rng(11)
    for _ in range(600):
        features = {"plan": str(rng.choice(["x", "y"])), "city": str(rng.choice(["x", "y"]))}
        situation = shop(OLD, features)
        known = actions(situation)
        path = known[rng.integers(len(known))]
        found.learn(situation, path, float(rng.random() < 0.1 + 0.3 * (path[0] == 0)))
    yield found
    found.close()


@settings(max_examples=10)
@given(FEATURES)
def test_they_are_usable_at_once(student: Student, features: dict[str, str]) -> None:
    """With them, pmfs are what they have to be, and each new action has its floor."""
    situation = shop(NEW, features)
    assert_conforms(student.chain, situation)
    assert_floor(student.chain, situation, student.exploration.floor)


@settings(max_examples=10)
@given(FEATURES)
def test_what_was_known_of_the_others_stays(student: Student, features: dict[str, str]) -> None:
    """Every action of the old catalog is worth what it was, to the last bit."""
    before, after = shop(OLD, features), shop(NEW, features)
    now = {after.action(path): path for path in actions(after)}
    for path in actions(before):
        same = now[before.action(path)]
        old = student.chain.scores(before, path[:2]).logits[path[2]]
        new = student.chain.scores(after, same[:2]).logits[same[2]]
        assert new == old


@settings(max_examples=10)
@given(FEATURES)
def test_they_are_tried(student: Student, features: dict[str, str]) -> None:
    """Least is known of what is new: a new offer, channel and window have the largest errors."""
    situation = shop(NEW, features)
    offers = student.chain.scores(situation, ()).errors
    channels = student.chain.scores(situation, (0,)).errors
    windows = student.chain.scores(situation, (0, 0)).errors
    assert offers[2] > offers[:2].max()
    assert channels[2] > channels[:2].max()
    assert windows[3:].min() > windows[:3].max()
