"""What peers are told is what was meant, and no feature can say anything else."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from policy.features import FeatureValue
from policy.situation import Situation
from replay.simulator import ReferenceWorld
from replay.simulator.lines import (
    Label,
    ccb_lines,
    joint_actions,
    joint_paths,
    shared_line,
    slates_lines,
    slot_names,
)
from tests.policy.conformance import paths
from tests.policy.situations import situations

SITUATION = ReferenceWorld().situations()[0]
HOSTILE = st.text(st.sampled_from("a|: \n\t=0é\u2028"), min_size=1, max_size=6)
LABELS = [Label(5, 0.25, 1.0), Label(1, 0.5, 1.0), Label(2, 0.125, 1.0)]


def _situation(features: dict[str, FeatureValue]) -> Situation:
    plain = SITUATION
    return Situation(plain.catalog, features, plain.offer_features, plain.grid, plain.tree)


@given(situations())
def test_joint_lines_name_every_action_in_the_order_of_the_paths(situation: Situation) -> None:
    """Line k is about the action at the end of path k, and there are no others."""
    lines, listed = joint_actions(situation.tree), joint_paths(situation.tree).tolist()
    assert list(map(tuple, listed)) == list(paths(situation, 3))
    for line, path in zip(lines, listed, strict=True):
        assert line == "|o {} |n {} |w {}".format(*situation.action(tuple(path)))


@given(situations())
def test_slots_hold_exactly_what_is_eligible_after_some_path(situation: Situation) -> None:
    """Every name that any path leads to is in its slot, once, and nothing else is."""
    for stage, names in enumerate(slot_names(situation.tree)):
        reachable = {name for path in paths(situation, stage) for name in situation.names(path)}
        assert len(names) == len(set(names))
        assert set(names) == reachable


def test_a_label_tells_cost_and_probability() -> None:
    """The cost is the negative reward, since Vowpal Wabbit minimises."""
    assert Label(7, 0.25, 2.0).text == "-2.0:0.25"
    assert Label(7, 1.0, -0.5).text == "0.5:1.0"


def test_slates_lines_are_those_of_the_format() -> None:
    """The cost stands at the shared line; each slot tells what was chosen and how likely."""
    lines = slates_lines(SITUATION, LABELS)
    assert lines[0] == "slates shared -1.0 |c chabit=0 chour=0 csegment=0"
    assert lines[1] == "slates action 0 |o offer_0"
    assert lines[9] == "slates action 1 |n channel_0"
    assert lines[12] == "slates action 2 |w 0"
    assert lines[18:] == ["slates slot 5:0.25 |", "slates slot 1:0.5 |", "slates slot 2:0.125 |"]
    assert slates_lines(SITUATION)[18:] == ["slates slot |"] * 3


def test_ccb_lines_are_those_of_the_format() -> None:
    """Actions of all slots are numbered through; each slot lists its own."""
    lines = ccb_lines(SITUATION, LABELS)
    assert lines[0] == "ccb shared |c chabit=0 chour=0 csegment=0"
    assert lines[1] == "ccb action |o offer_0"
    assert lines[18:] == [
        "ccb slot 5:-1.0:0.25 0,1,2,3,4,5,6,7 |s slot=0",
        "ccb slot 9:-1.0:0.5 8,9,10 |s slot=1",
        "ccb slot 13:-1.0:0.125 11,12,13,14,15,16 |s slot=2",
    ]
    assert ccb_lines(SITUATION)[18] == "ccb slot 0,1,2,3,4,5,6,7 |s slot=0"


@settings(max_examples=100)
@given(st.dictionaries(HOSTILE, HOSTILE | st.booleans() | st.floats(-9.0, 9.0), max_size=3))
def test_no_feature_opens_a_namespace_or_a_line(features: dict[str, FeatureValue]) -> None:
    """However features are named and valued, the context is one namespace with one token each."""
    situation = _situation(features)
    for first in (
        shared_line(situation),
        slates_lines(situation)[0],
        ccb_lines(situation)[0],
    ):
        assert re.fullmatch(r"\w+( shared)? \|c [^|\n\s]*( [^|\n\s]+)*", first)
        assert len(first.split("|c ")[1].split()) == len(features)
        assert all(token.count(":") <= 1 for token in first.split())
