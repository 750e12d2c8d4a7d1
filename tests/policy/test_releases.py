"""Releases: what is in force changes one step at a time, and can be taken back."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.catalog import parse_catalog
from policy.errors import (
    CatalogError,
    InvalidRolloutError,
    RolloutChangedError,
    UnknownRuleError,
    UnknownVersionError,
)
from policy.registry import Registry
from policy.releases import Releases, arms_of
from policy.rollout import Arm, ArmShare, Rollout
from tests.policy.catalogs import FULL, MINIMAL, minimal, toml

WIDER = f'{MINIMAL}\n[offers.b]\nchannels = ["email"]\n'

NOW = datetime(2026, 6, 10, tzinfo=UTC)


@pytest.fixture
def releases(tmp_path: Path) -> Releases:
    """The releases of an empty registry, at a clock that stands still."""
    return Releases(Registry(tmp_path), lambda: NOW)


def shares(rollout: Rollout) -> dict[str, tuple[str, float]]:
    """Policy and share of each arm."""
    return {share.arm.name: (share.policy, share.share) for share in rollout.arms}


def test_the_first_catalog_starts_with_the_uniform_policy(releases: Releases) -> None:
    """Nothing has been learned yet, so the champion is a fair draw."""
    rollout = releases.publish(MINIMAL)
    assert (rollout.sequence, rollout.catalog) == (1, parse_catalog(MINIMAL).version)
    assert shares(rollout) == {"CHAMPION": ("uniform", 1.0)}
    assert releases.present() == rollout


def test_the_arms_follow_the_catalogs_traffic(releases: Releases) -> None:
    """Holdout, random and baseline get their shares, the champion the rest."""
    assert shares(releases.publish(FULL)) == {
        "CHAMPION": ("uniform", pytest.approx(0.8)),
        "HOLDOUT": ("", 0.05),
        "RANDOM": ("uniform", 0.05),
        "BASELINE": ("fixed/loyal/email", 0.1),
    }


def test_publishing_the_same_meaning_changes_nothing(releases: Releases) -> None:
    """A comment in the file makes no new rollout."""
    first = releases.publish(MINIMAL)
    assert releases.publish(f"# again\n{MINIMAL}") == first


def test_another_catalog_keeps_the_champion(releases: Releases) -> None:
    """What was promoted stays in force when the marketer changes the catalog."""
    releases.publish(MINIMAL)
    releases.promote("fixed/a")
    rollout = releases.publish(WIDER)
    assert (rollout.sequence, rollout.champion) == (3, "fixed/a")


def test_a_catalog_has_to_allow_the_champion(releases: Releases) -> None:
    """A rule that lost its offer would follow another one under its name."""
    releases.publish(MINIMAL)
    before = releases.promote("fixed/a")
    with pytest.raises(UnknownRuleError):
        releases.publish(FULL)
    assert releases.present() == before


def test_a_wrong_catalog_changes_nothing(releases: Releases) -> None:
    """The catalog in force stays in force."""
    first = releases.publish(MINIMAL)
    with pytest.raises(CatalogError):
        releases.publish("schema = 1")
    assert releases.present() == first


@pytest.mark.parametrize("version", ["chain-0123456789abcdef", "", "../x", "fixed/"])
def test_what_is_not_registered_is_not_promoted(releases: Releases, version: str) -> None:
    """An unknown version never gets traffic."""
    first = releases.publish(MINIMAL)
    with pytest.raises(UnknownVersionError):
        releases.promote(version)
    assert releases.present() == first


def test_rollback_goes_to_the_champion_before(releases: Releases) -> None:
    """The last other champion is back in force, as a new rollout of its own."""
    releases.publish(MINIMAL)
    releases.promote("fixed/a")
    releases.publish(WIDER)
    rollout = releases.rollback()
    assert (rollout.sequence, rollout.champion) == (4, "uniform")
    assert rollout.catalog == parse_catalog(WIDER).version


def test_rolling_back_again_goes_back_further(releases: Releases) -> None:
    """What was rolled back for good reason does not come again by itself."""
    releases.publish(MINIMAL)
    releases.promote("fixed/a")
    releases.promote("fixed/a/email")
    assert [releases.rollback().champion for _ in range(2)] == ["fixed/a", "uniform"]
    with pytest.raises(InvalidRolloutError, match="no other champion"):
        releases.rollback()
    releases.promote("fixed/a/email")
    assert releases.rollback().champion == "uniform"


def test_there_may_be_nothing_to_go_back_to(releases: Releases) -> None:
    """Before anything, and with one champion ever, rollback says so."""
    with pytest.raises(InvalidRolloutError, match="nothing is in force"):
        releases.rollback()
    releases.publish(MINIMAL)
    with pytest.raises(InvalidRolloutError, match="no other champion"):
        releases.rollback()


def champion(share: float) -> tuple[ArmShare, ...]:
    """One arm."""
    return (ArmShare(arm=Arm.CHAMPION, policy="uniform", share=share),)


def test_arms_are_set_by_whoever_has_read_the_present_ones(releases: Releases) -> None:
    """With the present sequence it works once; the second writer is told to read again."""
    first = releases.publish(MINIMAL)
    arms = (*champion(0.9), ArmShare(arm=Arm.CANARY, policy="fixed/a", share=0.1))
    rollout = releases.set_arms(arms, first.sequence)
    assert shares(rollout) == {"CHAMPION": ("uniform", 0.9), "CANARY": ("fixed/a", 0.1)}
    with pytest.raises(RolloutChangedError):
        releases.set_arms(arms, first.sequence)


@pytest.mark.parametrize(
    ("arms", "sequence", "problem"),
    [
        (champion(0.9), 1, "sum to 0.9"),
        ((), 1, "no champion"),
        (champion(0.5) * 2, 1, "named twice"),
        ((ArmShare(arm=Arm.CHAMPION, policy="gone", share=1.0),), 1, "not registered"),
        (champion(1.0), -5, "sequence"),
    ],
)
def test_arms_that_contradict_themselves_are_refused(
    releases: Releases, arms: tuple[ArmShare, ...], sequence: int, problem: str
) -> None:
    """The problem is told in one short line, and the present rollout stays."""
    first = releases.publish(MINIMAL)
    with pytest.raises(InvalidRolloutError, match=problem) as caught:
        releases.set_arms(arms, sequence)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    assert releases.present() == first


def hundredths(parts: list[int]) -> Callable[[str], float]:
    """Shares in hundredths by name."""
    names = ("random", "holdout", "baseline")
    return {name: part / 100 for name, part in zip(names, parts, strict=True)}.__getitem__


@given(st.lists(st.integers(0, 33), min_size=3, max_size=3))
def test_any_traffic_of_a_catalog_makes_a_rollout(parts: list[int]) -> None:
    """However the shares round, the arms sum to 1 and are valid."""
    share = hundredths(parts)
    traffic = {name: share(name) for name in ("random", "holdout", "baseline")}
    catalog = parse_catalog(toml(minimal(traffic=traffic, baseline={"offer": "a"})))
    arms = arms_of(catalog, "uniform")
    rollout = Rollout(sequence=1, catalog=catalog.version, arms=arms, updated_at=NOW)
    assert rollout.champion == "uniform"
