"""Tables are read by one process or by many, and nobody can tell by the result."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replay import table_formats
from replay.errors import BadTableError, BadValueError
from replay.estimators import ESTIMATORS
from replay.evaluation import evaluate_table
from replay.processes import STRETCHES_A_PROCESS
from replay.tables import Part, open_table
from tests.replay.samples import seeded_log

NAMES = ["reward", "p_log", "p_target", "q_logged", "v_target"]
NEEDED = dict.fromkeys(NAMES[:3], "every evaluation")
GROUPS = 2 * STRETCHES_A_PROCESS
"""Row groups that two processes share."""
GROUP_ROWS = 200


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every row group is a part."""
    monkeypatch.setattr(table_formats, "PART_ROWS", 1)


def write(path: Path, seed: int = 1, **changed: list[float]) -> None:
    """A table of several row groups, with some columns of one's own."""
    rows = seeded_log(seed, GROUPS * GROUP_ROWS, 20.0)
    columns = dict(zip(NAMES, map(list, zip(*rows, strict=True)), strict=True)) | changed
    pq.write_table(pa.table(columns), path, row_group_size=GROUP_ROWS)


def rows_of(part: Part) -> list[float]:
    """The rewards of a part."""
    return [float(one) for chunk in part.chunks() for one in chunk.sample.reward]


def test_processes_change_nothing(tmp_path: Path) -> None:
    """Two processes find what one finds: every value, interval and diagnostic, bit for bit.

    Progress moves with each part, and never goes back.
    """
    (tmp_path / "t").mkdir()
    for number in range(2):
        write(tmp_path / "t" / f"{number}.parquet", number)
    names = [name for name, kind in ESTIMATORS.items() if {*NAMES}.issuperset(kind.needs)]
    seen: list[tuple[int, float]] = []
    one = evaluate_table(tmp_path / "t", names, processes=1)
    two = evaluate_table(tmp_path / "t", names, lambda *now: seen.append(now), processes=2)
    assert one.n == 2 * GROUPS * GROUP_ROWS
    assert len(seen) == 2 * GROUPS
    assert seen == sorted(seen)
    assert seen[-1][0] == one.n
    assert seen[-1][1] == pytest.approx(1.0)
    assert {name: found for name, found in two.estimates.items() if name != "mle"} == {
        name: found for name, found in one.estimates.items() if name != "mle"
    }
    assert two.diagnosis == one.diagnosis
    mles = [found.estimates["mle"] for found in (one, two)]
    assert mles[0] is not None
    assert mles[1] is not None
    assert mles[1].value == pytest.approx(mles[0].value, rel=1e-12)
    assert mles[1].interval == pytest.approx(mles[0].interval, rel=1e-12)


def test_faults_that_other_processes_meet_are_named(tmp_path: Path) -> None:
    """The first bad row of the table is named with its place in the file, whoever met it."""
    good = [0.5] * (GROUPS * GROUP_ROWS)
    bad = list(good)
    bad[3 * GROUP_ROWS + 7] = bad[5 * GROUP_ROWS] = 1.5
    write(tmp_path / "t.parquet", p_log=bad)
    with pytest.raises(BadTableError) as caught:
        evaluate_table(tmp_path / "t.parquet", processes=2)
    assert isinstance(caught.value.cause, BadValueError)
    assert (caught.value.cause.row, caught.value.cause.column) == (3 * GROUP_ROWS + 8, "p_log")
    assert caught.value.path == tmp_path / "t.parquet"


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8), at_once=st.integers(1, 12))
def test_parts_hold_every_row_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sizes: Sequence[int], at_once: int
) -> None:
    """However row groups are cut and joined, parts hold the rows in order, each with its number."""
    monkeypatch.setattr(table_formats, "PART_ROWS", at_once)
    path = tmp_path / "t.parquet"
    schema = pa.schema([(name, pa.float64()) for name in NAMES[:3]])
    first = 0
    with pq.ParquetWriter(path, schema) as writer:
        for size in sizes:
            reward = [float(row) for row in range(first, first + size)]
            columns = dict(zip(NAMES, (reward, [0.5] * size, [0.5] * size), strict=False))
            writer.write_table(pa.table(columns, schema))
            first += size
    parts = list(open_table(path).parts(NEEDED))
    assert [row for part in parts for row in rows_of(part)] == list(range(first))
    assert [part.stretch.first_row - 1 for part in parts] == [rows_of(part)[0] for part in parts]
    assert [part.begin for part in parts[1:]] == [part.end for part in parts[:-1]]
    assert all(len(rows_of(part)) >= at_once for part in parts[:-1])


def test_a_table_without_rows_is_one_empty_part(tmp_path: Path) -> None:
    """A file that has columns alone is read, and holds nothing."""
    pq.write_table(pa.table({name: pa.array([], pa.float64()) for name in NAMES}), tmp_path / "t")
    (part,) = open_table(tmp_path / "t").parts(NEEDED)
    assert rows_of(part) == []


def test_interrupted_evaluation_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C ends the command and its processes, without a result and without a traceback."""
    rows = GROUPS * 2**20
    column = pa.array(np.full(rows, 0.5))
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(dict.fromkeys(NAMES, column)), path, row_group_size=rows // GROUPS)
    sendwise = Path(sys.executable).with_name("sendwise")
    command = [str(sendwise), "evaluate", "--table", str(path)]
    with subprocess.Popen(
        [*command, "--estimator", "all", "--processes", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    ) as process:
        while not (children := children_of(process.pid)) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(0.5)
        for one in (process.pid, *children):  # as a terminal does
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    deadline = time.monotonic() + 30
    while any(map(is_running, children)):
        assert time.monotonic() < deadline, "processes outlive the command"
        time.sleep(0.05)


def children_of(pid: int) -> list[int]:
    """Processes that a process has started."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return [int(child) for child in found.split()]


def is_running(pid: int) -> bool:
    """Whether a process is there, and more than a name that nobody has asked for yet."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
