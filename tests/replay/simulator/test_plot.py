"""Pictures of learning curves: drawn from the runs, repeatable, in the kind that the name says."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from replay.simulator import ReferenceWorld, Simulation, make_learner, simulate
from replay.simulator.errors import PictureFormatError
from replay.simulator.plot import FORMATS, write_curves

MAGIC = {"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}


def _runs() -> list[tuple[str, Simulation]]:
    return [
        (name, simulate(ReferenceWorld(), make_learner(name), 200))
        for name in ("uniform", "best_so_far")
    ]


@pytest.mark.parametrize("kind", FORMATS)
def test_the_ending_says_the_kind(tmp_path: Path, kind: str) -> None:
    """Each kind is written as what it is, and the same runs give the same bytes."""
    for name in ("one", "two"):
        write_curves(_runs(), tmp_path / f"{name}.{kind}")
    content = (tmp_path / f"one.{kind}").read_bytes()
    assert content.startswith(MAGIC[kind])
    assert content == (tmp_path / f"two.{kind}").read_bytes()


def test_every_run_has_its_curve(tmp_path: Path) -> None:
    """Each run is a line with a point for each step."""
    path = tmp_path / "curves.svg"
    write_curves(_runs(), path)
    drawing = ET.parse(path)  # noqa: S314 - our own file
    space = "{http://www.w3.org/2000/svg}"
    groups = [each for each in drawing.iter(f"{space}g") if each.get("id", "").startswith("line2d")]
    points = [len(list(group.iter(f"{space}use"))) for group in groups]
    assert points.count(20) == 2


@pytest.mark.parametrize("name", ["curves", "curves.gif", "curves.svg.bak"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    """A file that could not be what its name says is not written."""
    with pytest.raises(PictureFormatError) as refused:
        write_curves(_runs(), tmp_path / name)
    assert refused.value.known == FORMATS
    assert not list(tmp_path.iterdir())
