"""Every learner is a true policy at every moment, and learns what its formulation can express."""

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.choice import action_probability, stage_pmf
from policy.situation import Situation, Stage
from replay.simulator import LEARNERS, Learner, ReferenceWorld, make_learner, simulate
from replay.simulator.errors import UnknownLearnerError, UnknownWorldError
from replay.simulator.learners import CROSSED, SLOTTED
from replay.simulator.lines import joint_paths, slates_lines
from replay.simulator.peers import Joint, Slots
from replay.simulator.worlds import make_world
from tests.policy.conformance import assert_conforms, paths
from tests.policy.situations import situations
from tests.replay.simulator.worlds import joint_pmf

SLOT_NAMES = ("slates", "ccb")
JOINT_NAMES = ("joint", "epsilon", "no_context")
SITUATION = ReferenceWorld().situations()[17]


@pytest.fixture(params=sorted(LEARNERS), scope="module")
def learner(request: pytest.FixtureRequest) -> Iterator[Learner]:
    """Each learner; it goes on learning while the tests use it."""
    found = make_learner(request.param)
    yield found
    found.close()


@pytest.fixture
def make() -> Iterator[Callable[[str], Learner]]:
    """Makes new learners, and closes them."""
    made: list[Learner] = []

    def new(name: str) -> Learner:
        made.append(make_learner(name))
        return made[-1]

    yield new
    for each in made:
        each.close()


@settings(max_examples=25, deadline=None)
@given(situations(), st.floats(-2.0, 2.0))
def test_a_learner_conforms_whatever_it_has_learned(
    learner: Learner, situation: Situation, reward: float
) -> None:
    """Over arbitrary eligible trees, before and after learning: true pmfs, exact probabilities."""
    assert_conforms(learner, situation)
    for path in list(paths(situation, len(Stage)))[:2]:
        learner.learn(situation, path, reward)
    assert_conforms(learner, situation)


@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_a_new_learner_prefers_nothing(make: Callable[[str], Learner], name: str) -> None:
    """Before it has learned anything, all actions are equally likely."""
    pmf = joint_pmf(make(name), SITUATION)
    np.testing.assert_allclose(pmf, 1 / pmf.size, rtol=0.2)


@pytest.mark.parametrize("name", sorted(set(LEARNERS) - {"uniform"}))
def test_learning_shifts_probability_to_what_earned(
    make: Callable[[str], Learner], name: str
) -> None:
    """What always earned 1 while all else earned 0 becomes the most likely action."""
    learner = make(name)
    rewarded = (5, 1, 4)
    for path in list(paths(SITUATION, len(Stage)))[::5] * 2:
        learner.learn(SITUATION, path, 0.0)
        learner.learn(SITUATION, rewarded, 1.0)
    pmf = joint_pmf(learner, SITUATION)
    assert pmf[rewarded] == pmf.max()
    assert (pmf == pmf.max()).sum() == 1


def test_uniform_learns_nothing(make: Callable[[str], Learner]) -> None:
    """The uniform policy stays what it is."""
    learner = make("uniform")
    before = joint_pmf(learner, SITUATION)
    learner.learn(SITUATION, (0, 0, 0), 1.0)
    np.testing.assert_array_equal(joint_pmf(learner, SITUATION), before)


@pytest.mark.parametrize("name", JOINT_NAMES)
def test_stages_of_a_joint_policy_multiply_to_its_joint_pmf(
    make: Callable[[str], Learner], name: str
) -> None:
    """Conditioning stage by stage loses nothing of what Vowpal Wabbit said of each action."""
    learner = make(name)
    assert isinstance(learner, Joint)
    for path in ((1, 2, 3), (4, 0, 0), (1, 2, 3)):
        learner.learn(SITUATION, path, 1.0)
    direct = learner._joint(SITUATION)
    walked = [
        action_probability(learner, SITUATION, tuple(path))
        for path in joint_paths(SITUATION.tree).tolist()
    ]
    np.testing.assert_allclose(walked, direct, rtol=1e-9)
    assert direct.max() > 2 * direct.min()


@pytest.mark.parametrize("name", SLOT_NAMES)
def test_a_slot_does_not_see_what_others_chose(make: Callable[[str], Learner], name: str) -> None:
    """Where everything is eligible, the pmf of a slot is the same after every path."""
    learner = make(name)
    for path in ((1, 2, 3), (4, 0, 0), (1, 2, 3)):
        learner.learn(SITUATION, path, 1.0)
    for stage in (Stage.CHANNEL, Stage.SEND_TIME):
        found = [learner.pmf(SITUATION, path) for path in paths(SITUATION, stage)]
        assert np.ptp(found, axis=0).max() == 0.0
        assert np.ptp(found[0]) > 0.0


WEIGHTED = pytest.mark.parametrize("weighted", [True, False], ids=["true", "one"])


@WEIGHTED
def test_a_joint_label_tells_how_likely_the_action_was(
    monkeypatch: pytest.MonkeyPatch, *, weighted: bool
) -> None:
    """Cost, and the probability of the very action that was chosen; or 1 if not weighted."""
    learner = Joint("joint", f"--cb_explore_adf --squarecb {CROSSED}", weighted=weighted)
    path = (5, 1, 4)
    learner.learn(SITUATION, path, 1.0)
    probability = action_probability(learner, SITUATION, path)
    told: list[tuple[str, tuple[str, ...], int, str]] = []
    monkeypatch.setattr(learner._workspace, "learn", lambda *label: told.append(label))
    learner.learn(SITUATION, path, 1.0)
    ((_, actions, chosen, label),) = told
    assert actions[chosen] == "|o offer_5 |n channel_1 |w 4"
    assert label == f"0:-1.0:{probability if weighted else 1.0!r}"
    assert probability > 2 / 144
    learner.close()


@WEIGHTED
def test_slots_are_told_how_likely_the_choice_of_each_stage_was(
    monkeypatch: pytest.MonkeyPatch, *, weighted: bool
) -> None:
    """Each slot has its own stage's probability; or 1 if not weighted."""
    learner = Slots("slates", f"--slates --squarecb {SLOTTED}", slates_lines, weighted=weighted)
    path = (5, 1, 4)
    learner.learn(SITUATION, path, 1.0)
    likely = [float(stage_pmf(learner, SITUATION, path[:k])[path[k]]) for k in range(3)]
    told: list[list[str]] = []
    monkeypatch.setattr(learner._workspace, "learn", told.append)
    learner.learn(SITUATION, path, 1.0)
    expected = likely if weighted else [1.0] * 3
    assert told[0][-3:] == [
        f"slates slot {chosen}:{probability!r} |"
        for chosen, probability in zip(path, expected, strict=True)
    ]
    assert len(set(likely)) == 3
    learner.close()


def test_the_chain_beats_uniform_within_3000_rounds(make: Callable[[str], Learner]) -> None:
    """Learning pays early: by then the chain captures a good part of what there is."""
    world = ReferenceWorld(-2.0, 0)
    chain = simulate(world, make("chain"), 3000)
    assert chain.captured > 0.3  # the uniform policy's 0 has a standard error of 0.02
    assert chain.captured_last_tenth > chain.captured - 0.05


@pytest.mark.parametrize("name", [*SLOT_NAMES, *JOINT_NAMES])
def test_every_peer_learns_in_the_world(make: Callable[[str], Learner], name: str) -> None:
    """A peer that learned nothing would be a straw man: each beats chance within 600 rounds."""
    result = simulate(ReferenceWorld(0.0, 0), make(name), 600)
    assert result.captured > 0.1


def test_unknown_names_are_told_with_the_known_ones() -> None:
    """A name that is not there is refused, and the error lists what is."""
    with pytest.raises(UnknownLearnerError) as learner:
        make_learner("best")
    assert learner.value.known == tuple(LEARNERS)
    with pytest.raises(UnknownWorldError) as world:
        make_world("ours", 0.0, 0)
    assert "reference" in world.value.known
    assert world.value.name == "ours"
