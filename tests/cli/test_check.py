"""`sendwise check`: a catalog is valid, or every mistake is told with its place."""

from pathlib import Path

import pytest

from tests.cli.conftest import Sendwise
from tests.shop import CATALOG, shop

PAST = {
    "place": "offers.past.valid_until",
    "text": "has passed, so the offer is not sent any more",
    "line": 20,
}


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """A valid catalog."""
    path = tmp_path / "catalog.toml"
    path.write_text(CATALOG)
    return path


def test_a_valid_catalog(sendwise: Sendwise, catalog: Path) -> None:
    """One line that says what is in it, and what is hardly meant."""
    ended = sendwise("check", catalog)
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == (
        f"{catalog} is valid: 3 offers, 2 channels, 6 send windows, version {shop().version}\n"
        "  note: line 20: offers.past.valid_until: has passed, so the offer is not sent any more\n"
    )


def test_a_valid_catalog_in_json(sendwise: Sendwise, catalog: Path) -> None:
    """The same facts."""
    assert sendwise("check", catalog, "--format", "json").json == {
        "version": shop().version,
        "name": "shop",
        "offers": 3,
        "channels": 2,
        "windows": 6,
        "no_send": True,
        "notes": [PAST],
    }


def test_every_mistake_is_told(sendwise: Sendwise, catalog: Path) -> None:
    """With its line and its place; exit code 1, nothing on standard output."""
    catalog.write_text(CATALOG.replace("windows = 6", "windows = 600").replace("14", '"14"'))
    ended = sendwise("check", catalog)
    assert (ended.code, ended.out) == (1, "")
    first, *problems = ended.err.splitlines()
    assert first == f"sendwise: {catalog} is not a valid catalog:"
    assert len(problems) == 2
    assert problems[0].startswith("  line 26: send_times.windows: ")
    assert problems[1].startswith("  line 31: reward.attribution_days: ")


def test_a_missing_file(sendwise: Sendwise, tmp_path: Path) -> None:
    """It is named."""
    ended = sendwise("check", tmp_path / "nothing.toml")
    assert (ended.code, ended.out) == (1, "")
    assert "nothing.toml" in ended.err
    assert "cannot be read" in ended.err
