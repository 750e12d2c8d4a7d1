"""The rollout: shares that hold, arms that are stable, and a file that survives its writers."""

import json
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chisquare

from policy.errors import InvalidRolloutError, RolloutChangedError
from policy.rollout import Arm, ArmShare, Rollout, RolloutFile

LIKELY = 1e-4
NOW = datetime(2026, 6, 10, tzinfo=UTC)
SUBJECTS = [index.to_bytes(32, "big") for index in range(20_000)]
subjects = st.binary(min_size=1, max_size=64)


Shares = dict[str, float]


def rollout(sequence: int = 1, champion: str = "uniform", shares: Shares | None = None) -> Rollout:
    """A rollout whose champion gets what the named arms leave."""
    shares = shares or {}
    rest = 1.0 - sum(shares.values())
    arms = [ArmShare(arm=Arm.CHAMPION, policy=champion, share=max(rest, 0.0))]
    for name, share in shares.items():
        arm = Arm[name.upper()]
        policy = "" if arm is Arm.HOLDOUT else name
        arms.append(ArmShare(arm=arm, policy=policy, share=share))
    return Rollout(sequence=sequence, catalog="catalog-1", arms=tuple(arms), updated_at=NOW)


@st.composite
def rollouts(draw: st.DrawFn) -> Rollout:
    """A rollout with any arms and shares."""
    others = ["canary", "holdout", "random", "baseline"]
    names = draw(st.lists(st.sampled_from(others), unique=True))
    total = 0.0
    shares: Shares = {}
    for name in names:
        shares[name] = draw(st.floats(0.0, 1.0)) * (1.0 - total)
        total += shares[name]
    return rollout(shares=shares)


def test_the_frequencies_of_arms_match_their_shares() -> None:
    """Over 20,000 subjects the arms agree with the shares by a chi-square test."""
    found = rollout(shares={"canary": 0.1, "holdout": 0.05, "random": 0.02, "baseline": 0.08})
    counts = Counter(found.arm_of(subject).arm for subject in SUBJECTS)
    observed = [counts[share.arm] for share in found.arms]
    assert chisquare(observed, [share.share * 20_000 for share in found.arms]).pvalue > LIKELY


@given(rollouts(), subjects)
def test_an_arm_has_a_share(found: Rollout, subject: bytes) -> None:
    """Every subject has an arm, always the same one, and never one whose share is 0."""
    share = found.arm_of(subject)
    assert share in found.arms
    assert share.share > 0.0
    assert share == found.arm_of(subject)


@given(rollouts(), subjects, st.randoms(use_true_random=False))
def test_the_order_of_the_arms_does_not_matter(
    found: Rollout, subject: bytes, random: Random
) -> None:
    """However the file lists them, the arms divide the subjects in the same way."""
    arms = random.sample(found.arms, len(found.arms))
    other = found.model_copy(update={"arms": tuple(arms)})
    assert other.arm_of(subject) == found.arm_of(subject)


def test_a_growing_canary_takes_from_the_champion_alone() -> None:
    """From 1% to 100% of the champion's part nobody leaves another arm, nor the canary."""
    fixed = {"holdout": 0.05, "random": 0.1, "baseline": 0.05}
    before = [
        rollout(shares={"canary": 0.01, **fixed}).arm_of(subject).arm
        for subject in SUBJECTS[:5_000]
    ]
    for share in (0.05, 0.2, 0.5, 0.8):
        grown = rollout(shares={"canary": share, **fixed})
        after = [grown.arm_of(subject).arm for subject in SUBJECTS[:5_000]]
        moved = {(old, new) for old, new in zip(before, after, strict=True) if old != new}
        assert moved == {(Arm.CHAMPION, Arm.CANARY)}
        before = after


def test_a_rest_that_rounding_leaves_goes_to_an_arm_with_a_share() -> None:
    """Where shares sum to a hair less than 1, a champion with share 0 still gets nobody."""
    arms = (
        ArmShare(arm=Arm.CHAMPION, policy="uniform", share=0.0),
        ArmShare(arm=Arm.CANARY, policy="canary", share=1.0 - 1e-10),
    )
    found = Rollout(sequence=1, catalog="c", arms=arms, updated_at=NOW)
    assert arm_at(found, 1.0 - 2.0**-53).arm is Arm.CANARY


def arm_at(found: Rollout, draw: float) -> ArmShare:
    """The arm of a subject with this draw."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("policy.rollout.hashed", lambda _key, _purpose: draw)
        return found.arm_of(b"subject")


INVALID: list[tuple[dict[str, Any], str]] = [
    ({"arms": []}, "no champion"),
    ({"arms": [{"arm": 2, "policy": "x", "share": 1.0}]}, "no champion"),
    ({"arms": [{"arm": 1, "policy": "x", "share": 0.5}] * 2}, "named twice"),
    ({"arms": [{"arm": 1, "policy": "x", "share": 0.9}]}, "sum to 0.9"),
    ({"arms": [{"arm": 1, "policy": "x", "share": 1.1}]}, "less than or equal to 1"),
    ({"arms": [{"arm": 1, "policy": "x", "share": -0.1}]}, "greater than or equal to 0"),
    ({"arms": [{"arm": 1, "policy": "", "share": 1.0}]}, "has no policy"),
    ({"arms": [{"arm": 9, "policy": "x", "share": 1.0}]}, "should be 1, 2, 3, 4 or 5"),
    ({"arms": [{"arm": 1, "policy": "x", "share": "1.0"}]}, "valid number"),
    ({"arms": [{"arm": 1, "policy": "x", "share": 1.0, "note": ""}]}, "not permitted"),
    ({"sequence": 0}, "greater than or equal to 1"),
    ({"schema": 2}, "should be 1"),
    ({"catalog": None}, "valid string"),
    ({"updated_at": "yesterday"}, "valid datetime"),
]
VALID: dict[str, Any] = {
    "schema": 1,
    "sequence": 1,
    "catalog": "catalog-1",
    "arms": [{"arm": 1, "policy": "uniform", "share": 1.0}],
    "updated_at": "2026-06-10T00:00:00Z",
}


@pytest.mark.parametrize(("change", "problem"), INVALID)
def test_a_rollout_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, Any], problem: str
) -> None:
    """Each contradiction in the file is told in one line."""
    (tmp_path / "rollout.json").write_text(json.dumps({**VALID, **change}), encoding="utf-8")
    with pytest.raises(InvalidRolloutError) as caught:
        RolloutFile(tmp_path).read()
    assert problem in caught.value.problem
    assert "\n" not in str(caught.value)
    assert "http" not in str(caught.value)


def test_shares_of_nan_are_refused() -> None:
    """NaN is neither below 0 nor above 1, and no share all the same."""
    with pytest.raises(ValidationError):
        ArmShare(arm=Arm.CHAMPION, policy="x", share=float("nan"))


HOSTILE = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"arms": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    json.dumps(VALID).encode()[:-1],
    json.dumps({**VALID, "sequence": 10**400}).encode(),
    json.dumps(VALID).replace("1.0", "NaN").encode(),
    json.dumps({**VALID, "catalog": "\ud800"}).encode(),
]


@pytest.mark.parametrize("content", HOSTILE)
def test_a_file_that_is_no_rollout_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    """Whatever is in the file, reading it says that it is no rollout."""
    (tmp_path / "rollout.json").write_bytes(content)
    with pytest.raises(InvalidRolloutError):
        RolloutFile(tmp_path).read()


@given(st.binary(max_size=100))
def test_no_bytes_break_the_reader(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Any bytes at all are an InvalidRolloutError."""
    directory = tmp_path_factory.mktemp("rollout")
    (directory / "rollout.json").write_bytes(content)
    with pytest.raises(InvalidRolloutError):
        RolloutFile(directory).read()


@given(rollouts())
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory, found: Rollout
) -> None:
    """Every share comes back to the last bit, so that no subject changes its arm."""
    file = RolloutFile(tmp_path_factory.mktemp("rollout"))
    assert file.read() is None
    file.replace(found)
    assert file.read() == found


def test_a_rollout_follows_the_one_before(tmp_path: Path) -> None:
    """A sequence that is not the next is refused, with both numbers, and changes nothing."""
    file = RolloutFile(tmp_path)
    with pytest.raises(RolloutChangedError):
        file.replace(rollout(sequence=2))
    file.replace(rollout(sequence=1))
    file.replace(rollout(sequence=2, champion="chain-2"))
    for stale in (1, 2, 4):
        with pytest.raises(RolloutChangedError) as caught:
            file.replace(rollout(sequence=stale))
        assert (caught.value.expected, caught.value.actual) == (stale - 1, 2)
    found = file.read()
    assert found is not None
    assert found.champion == "chain-2"


def test_the_stamp_changes_with_the_file(tmp_path: Path) -> None:
    """A server that compares stamps sees every change, and reads nothing while there is none."""
    file = RolloutFile(tmp_path)
    stamps = [file.stamp(), file.stamp()]
    for sequence in (1, 2, 3):
        file.replace(rollout(sequence=sequence))
        stamps += [file.stamp(), file.stamp()]
    assert stamps[::2] == stamps[1::2]
    assert all(left != right for left, right in zip(stamps[::2], stamps[2::2], strict=False))


def test_of_writers_at_once_one_wins_each_sequence(tmp_path: Path) -> None:
    """Eight threads that race for the same sequence: one succeeds, seven are told."""
    outcomes: Counter[str] = Counter()
    ready = threading.Barrier(8)

    def write(name: str) -> None:
        file = RolloutFile(tmp_path)
        for sequence in (1, 2, 3):
            ready.wait()
            try:
                file.replace(rollout(sequence=sequence, champion=name))
                outcomes["won"] += 1
            except RolloutChangedError:
                outcomes["lost"] += 1
            ready.wait()

    threads = [threading.Thread(target=write, args=(f"writer-{index}",)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {"won": 3, "lost": 21}
    assert [found.sequence for found in RolloutFile(tmp_path).history()] == [3, 2, 1]


def test_the_history_has_every_rollout_the_newest_first(tmp_path: Path) -> None:
    """Twelve rollouts come back in order, though names sort as text."""
    file = RolloutFile(tmp_path)
    written = [rollout(sequence=sequence, champion=f"c{sequence}") for sequence in range(1, 13)]
    for found in written:
        file.replace(found)
    assert list(file.history()) == written[::-1]


def test_a_rollout_that_was_never_in_force_is_no_history(tmp_path: Path) -> None:
    """What a crash left between writing the history and the rollout itself does not count."""
    file = RolloutFile(tmp_path)
    file.replace(rollout(sequence=1, champion="real"))
    ghost = rollout(sequence=2, champion="ghost").model_dump_json(by_alias=True)
    (tmp_path / "rollouts" / "00000002.json").write_text(ghost, encoding="utf-8")
    assert [found.champion for found in file.history()] == ["real"]
    file.replace(rollout(sequence=2, champion="second"))
    assert [found.champion for found in file.history()] == ["second", "real"]


def test_a_failed_write_leaves_the_rollout_in_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails at the last step, readers keep the old file, and no scraps are left."""
    file = RolloutFile(tmp_path)
    file.replace(rollout(sequence=1, champion="old"))

    def fail(_handle: int) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("policy.files.os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        file.replace(rollout(sequence=2))
    found = file.read()
    assert found is not None
    assert found.champion == "old"
    assert not [path for path in tmp_path.rglob(".*") if path.name != ".lock"]
