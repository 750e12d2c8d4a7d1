"""Every policy of ours conforms, and each does what its name says."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policy.catalog import parse_catalog
from policy.chain import Scale
from policy.eligibility import eligibility
from policy.exploration import Exploration, Name
from policy.learning import Student
from policy.policies import Fixed, Uniform
from policy.request import Request
from policy.situation import Situation, Stage
from tests.policy.catalogs import minimal, toml
from tests.policy.conformance import assert_conforms, assert_floor, frequencies, paths, stages
from tests.policy.models import actions
from tests.policy.situations import CHANNELS, OFFERS, situations

KINDS: list[Name] = ["matching", "squarecb", "epsilon", "softmax", "greedy"]
FLOOR = 0.05
rules = st.tuples(
    st.sampled_from([*OFFERS, "no_send", "gone"]),
    st.sampled_from([None, *CHANNELS, "none", "gone"]),
)


@pytest.fixture(params=KINDS, scope="module")
def student(request: pytest.FixtureRequest) -> Iterator[Student]:
    """A student with one kind of exploration; it learns while the tests use it."""
    found = Student(Exploration(name=request.param, floor=FLOOR), Scale(-2.0, 2.0))
    yield found
    found.close()


@given(situations())
def test_uniform_conforms(situation: Situation) -> None:
    """Uniform gives true pmfs over what is eligible, all of it equally likely."""
    assert_conforms(Uniform(), situation)
    assert_floor(Uniform(), situation, floor=1.0)


@given(situations(), rules)
def test_fixed_conforms(situation: Situation, rule: tuple[str, str | None]) -> None:
    """A fixed rule gives true pmfs, whether it is eligible or not."""
    assert_conforms(Fixed(*rule), situation)


@settings(max_examples=40)
@given(situations(), st.floats(-2.0, 2.0))
def test_a_chain_conforms_whatever_it_has_learned(
    student: Student, situation: Situation, reward: float
) -> None:
    """Before and after learning, with every exploration: true pmfs, and the floor at each stage."""
    assert_conforms(student.chain, situation)
    assert_floor(student.chain, situation, FLOOR)
    for path in actions(situation)[:3]:
        student.learn(situation, path, reward)
    assert_conforms(student.chain, situation)
    assert_floor(student.chain, situation, FLOOR)


@settings(max_examples=3)
@given(situations())
def test_the_frequencies_of_a_chains_choices_match_its_pmfs(
    student: Student, situation: Situation
) -> None:
    """With every exploration, whole actions are drawn as often as logged, by chi-square."""
    assert not list(frequencies(student.chain, situation))


@given(situations(), rules)
def test_a_fixed_rule_is_followed_where_it_is_eligible(
    situation: Situation, rule: tuple[str, str | None]
) -> None:
    """All mass is on the rule's offer and channel if they are eligible; all else is even."""
    offer, channel = rule
    policy = Fixed(offer, channel)
    names = situation.names(())
    pmf = policy.pmf(situation, ())
    if offer in names:
        assert pmf[names.index(offer)] == 1.0
    else:
        np.testing.assert_array_equal(pmf, 1.0 / len(names))
    for path in paths(situation, 1):
        channels = situation.names(path)
        pmf = policy.pmf(situation, path)
        if channel in channels:
            assert pmf[channels.index(str(channel))] == 1.0
        else:
            np.testing.assert_array_equal(pmf, 1.0 / len(channels))
    for path in paths(situation, 2):
        np.testing.assert_array_equal(
            policy.pmf(situation, path), 1.0 / len(situation.windows(path))
        )


def test_a_fixed_channel_is_pinned_within_its_offer() -> None:
    """Of three channels the rule's gets everything; without one in the rule all are even."""
    channels: dict[str, object] = {name: {} for name in CHANNELS}
    tables = minimal(channels=channels, offers={"a": {"channels": CHANNELS}})
    situation = eligibility(Request(now_ms=0), parse_catalog(toml(tables))).situation
    assert list(Fixed("a", "push").pmf(situation, (0,))) == [0.0, 1.0, 0.0]
    assert list(Fixed("a").pmf(situation, (0,))) == [1 / 3, 1 / 3, 1 / 3]


def test_versions_name_the_rule() -> None:
    """A rule's version is the rule itself."""
    assert Uniform().version == "uniform"
    assert Fixed("spring").version == "fixed/spring"
    assert Fixed("spring", "email").version == "fixed/spring/email"


@settings(max_examples=40)
@given(situations())
def test_a_new_chain_values_all_alike(situation: Situation) -> None:
    """Before anything is learned all values are equal, and whoever goes by them is uniform."""
    student = Student(Exploration(name="greedy"))
    for path in stages(situation):
        np.testing.assert_array_equal(student.chain.values(situation, path), 0.5)
        pmf = student.chain.pmf(situation, path)
        np.testing.assert_allclose(pmf, 1.0 / len(pmf), rtol=1e-12)
    student.close()


@settings(max_examples=40)
@given(situations(), st.data())
def test_a_chain_comes_to_prefer_what_is_rewarded(
    situation: Situation, data: st.DataObject
) -> None:
    """Where one action always earns 1 and all others 0, each stage's best is its part of it."""
    student = Student(Exploration(name="greedy"))
    taught = actions(situation)[:12]
    best = data.draw(st.sampled_from(taught))
    for _ in range(60):
        for path in taught:
            student.learn(situation, path, float(path == best))
    for stage in Stage:
        rivals = {path[stage] for path in taught if path[:stage] == best[:stage]}
        values = student.chain.values(situation, best[:stage])
        assert max(rivals, key=values.__getitem__) == best[stage] or looks_the_same(
            situation, best, stage
        )
    student.close()


def looks_the_same(situation: Situation, path: tuple[int, ...], stage: Stage) -> bool:
    """Whether the chosen window is one of two that no feature tells apart."""
    if stage is not Stage.SEND_TIME:
        return False
    minutes = situation.grid.local_minutes
    chosen = minutes[situation.windows(path)[path[stage]]]
    return minutes.count(chosen) > 1
