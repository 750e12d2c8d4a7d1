"""What people get wrong in a catalog is told in words for people."""

import re
from pathlib import Path

import pytest

from policy.catalog import load_catalog, parse_catalog
from policy.errors import CatalogError
from tests.policy.catalogs import MINIMAL

MISTAKES: list[tuple[str, bytes, str]] = [
    # What a person did, the file, and what is said of it.
    (
        "saved as Latin-1",
        MINIMAL.replace("x", "fr\u00fch").encode("latin-1"),
        "line 2: .*save it as UTF-8",
    ),
    ("saved as UTF-16", MINIMAL.encode("utf-16"), "line 1: .*save it as UTF-8"),
    ("gave a key twice", f"{MINIMAL}click = 2".encode(), "line 8: .*this was given before"),
    (
        "gave a table twice",
        f"{MINIMAL}[offers.a]\n".encode(),
        "line 8: .*this table was given before",
    ),
    ("left quotes out", MINIMAL.replace('"x"', "x").encode(), "line 2: .*texts stand in straight"),
    (
        "used curly quotes",
        MINIMAL.replace('"x"', "\u201cx\u201d").encode(),
        "line 2: .*straight quotes",
    ),
    (
        "wrote true for 1",
        MINIMAL.replace("= 1\nname", "= true\nname").encode(),
        "line 1: schema: must be a",
    ),
    (
        "wrote 1.0 for 1",
        MINIMAL.replace("= 1\nname", "= 1.0\nname").encode(),
        "line 1: schema: must be a",
    ),
    (
        "quoted a number",
        MINIMAL.replace("click = 1", 'click = "1"').encode(),
        "line 7: .*without quotes",
    ),
    (
        "one list for all",
        MINIMAL.replace("[offers.a]", "[[offers]]").encode(),
        r"write \[offers\.NAME\]",
    ),
    ("one cap, no list", f"{MINIMAL}[caps]\nmessages = 3\n".encode(), r"write \[\[caps\]\]"),
    ("two tables", MINIMAL.replace("[reward.weights]", "[[reward]]").encode(), r"write \[reward\]"),
    (
        "a number for a table",
        MINIMAL.replace("[channels.email]", "[channels]\nemail = 3").encode(),
        "line 4: channels.email: must be a table",
    ),
    (
        "a date of their country",
        MINIMAL.replace('["email"]', '["email"]\nvalid_from = "1.12.2026"').encode(),
        "date and time with an offset",
    ),
    (
        "a time of theirs",
        MINIMAL.replace(
            "[channels.email]", '[channels.email.quiet_hours]\nstart = "9pm"\nend = "7:00"'
        ).encode(),
        "must be a time of day",
    ),
]


@pytest.mark.parametrize(
    ("content", "said"),
    [(one[1], one[2]) for one in MISTAKES],
    ids=[one[0] for one in MISTAKES],
)
def test_mistakes_of_people_get_words_for_people(tmp_path: Path, content: bytes, said: str) -> None:
    """Each says what would be right, and none speaks of Python's types or of pydantic."""
    path = tmp_path / "catalog.toml"
    path.write_bytes(content)
    with pytest.raises(CatalogError) as caught:
        load_catalog(path)
    text = str(caught.value)
    assert re.search(said, text), text
    assert not re.search("Input|tuple|dictionary|codec|Errno|datetime", text), text


def test_a_mark_of_the_byte_order_changes_nothing(tmp_path: Path) -> None:
    """Some editors write one; it is no part of the catalog."""
    path = tmp_path / "catalog.toml"
    path.write_bytes(b"\xef\xbb\xbf" + MINIMAL.encode())
    assert load_catalog(path) == parse_catalog(MINIMAL)
