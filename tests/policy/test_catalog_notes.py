"""What is no mistake in a catalog but hardly meant is noted, with its place and its line."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from policy.catalog import parse_catalog
from policy.catalog_notes import notes_of
from tests.policy.catalogs import FULL, MINIMAL

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
WHOLE_DAYS = "\n[send_times]\nstep_minutes = 1440\n"
NIGHT = """
[channels.sms]
quiet_hours = { start = "22:00", end = "07:00" }
[offers.b]
channels = ["sms"]
"""
HARDLY_MEANT = {
    # What is added to a catalog with nothing to note: where, and a part of what is said.
    "[channels.sms]": ("channels.sms", "no offer names it"),
    f"{WHOLE_DAYS}{NIGHT}": ("channels.sms", "some of every send window is quiet"),
    '[channels.sms]\nquiet_days = ["monday", "tuesday", "wednesday", "thursday", "friday", '
    '"saturday", "sunday"]\n[offers.b]\nchannels = ["sms"]': ("channels.sms", "is quiet"),
    '[offers.b]\nchannels = ["email"]\nvalid_until = 2026-03-02T10:00:00Z': (
        "offers.b.valid_until",
        "has passed",
    ),
    "[traffic]\nrandom = 0.7\nholdout = 0.3": ("traffic", "the champion gets nobody"),
    '[baseline]\noffer = "a"': ("baseline", "traffic.baseline is 0"),
}


@pytest.mark.parametrize("added", HARDLY_MEANT)
def test_what_is_hardly_meant_is_noted(added: str) -> None:
    """One note, at the place where it can be changed."""
    text = f"{MINIMAL}{added}\n"
    (note,) = notes_of(parse_catalog(text), text, NOW)
    place, part = HARDLY_MEANT[added]
    assert note.place == place
    assert part in note.text
    assert note.line is not None
    assert note.line > MINIMAL.count("\n")


def test_rewards_without_worth_are_noted() -> None:
    """There is nothing to learn where everything is worth the same."""
    text = MINIMAL.replace("click = 1", "click = 0")
    (note,) = notes_of(parse_catalog(text), text, NOW)
    assert (note.place, note.line) == ("reward.weights", 6)


@pytest.mark.parametrize("step_minutes", [60, 720])
def test_a_channel_with_an_open_hour_is_not_noted(step_minutes: int) -> None:
    """Not even one whose windows are long: the rest of a running one counts."""
    times = f"\n[send_times]\nstep_minutes = {step_minutes}\n"
    text = f"{MINIMAL}{times}{NIGHT.replace('22:00', '00:00')}"
    assert notes_of(parse_catalog(text), text, NOW) == []


@pytest.mark.parametrize("text", [MINIMAL, FULL])
def test_catalogs_as_people_mean_them_have_no_notes(text: str) -> None:
    """Notes are for what stands out."""
    assert notes_of(parse_catalog(text), text, NOW) == []


@pytest.mark.parametrize("path", sorted(Path("examples").glob("*/catalog.toml")), ids=str)
def test_the_examples_have_no_notes(path: Path) -> None:
    """They are what people copy."""
    text = path.read_text()
    assert notes_of(parse_catalog(text), text, NOW) == []
