"""How fast a hundred million rows of Parquet are evaluated, and what vw-estimators takes for a row.

The command itself is measured, from its start to its answer: every estimator that rests on moments
and whose columns are there, with intervals and diagnostics. The peers get the same rows, as many as
they do in seconds, from lists in memory, on one core; ours from arrays in memory, on one core.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import estimators.bandits.cressieread
import estimators.bandits.ips
import estimators.bandits.mle
import estimators.bandits.snips
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from replay.estimators import ESTIMATORS
from replay.sample import Sample
from replay.table_formats import CHUNK_ROWS

ROWS: Final = 100_000_000
GROUP_ROWS: Final = 2**20
SEED: Final = 7
MOMENT_BASED: Final = tuple(
    name
    for name, kind in ESTIMATORS.items()
    if name != "mle" and {"q_logged", "v_target"}.issuperset(kind.needs)
)
"""All that read no more than five columns once; `mle` counts by weight."""
PEERS: Final[Mapping[str, tuple[Any, int]]] = {
    "ips": (estimators.bandits.ips, GROUP_ROWS),
    "snips": (estimators.bandits.snips, GROUP_ROWS),
    "cressie_read": (estimators.bandits.cressieread, GROUP_ROWS // 8),
    "mle": (estimators.bandits.mle, GROUP_ROWS // 8),
}
"""What both have, and how many rows of the table the peer gets: its rate is the same for more."""
REPETITIONS: Final = 3
POLL_S: Final = 0.1

Columns = dict[str, NDArray[np.float64]]


def run() -> dict[str, float]:
    """Rows a second and memory of the command; seconds of processor time per row beside peers."""
    with TemporaryDirectory() as scratch:
        path = Path(scratch) / "rows.parquet"
        write_table(path, ROWS)
        found = command(path)
        rows = pq.ParquetFile(path).read_row_group(0)
    columns = {name: rows[name].to_numpy() for name in rows.column_names}
    for name in PEERS:
        found |= beside(name, columns)
    return found


def write_table(path: Path, rows: int, seed: int = SEED) -> None:
    """A log of rare clicks, with weights around 1 whose largest lie near 40, and a decent model."""
    schema = pa.schema([(name, pa.float64()) for name in group(seed, 0, 0)])
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for number, start in enumerate(range(0, rows, GROUP_ROWS)):
            size = min(GROUP_ROWS, rows - start)
            writer.write_table(pa.table(group(seed, number, size), schema), GROUP_ROWS)


def group(seed: int, number: int, size: int) -> Columns:
    """One row group: an action of many, its probabilities, whether it was clicked, and a model."""
    generator = np.random.default_rng([seed, number])
    p_log = generator.uniform(0.02, 0.25, size)
    p_target = np.minimum(p_log * generator.lognormal(-0.32, 0.8, size), 1.0)
    rate = generator.uniform(0.0, 0.1, size)
    return {
        "reward": (generator.random(size) < rate).astype(np.float64),
        "p_log": p_log,
        "p_target": p_target,
        "q_logged": rate * generator.uniform(0.5, 1.5, size),
        "v_target": generator.uniform(0.0, 0.1, size),
    }


def command(path: Path) -> dict[str, float]:
    """Wall time, processor time and resident memory of the command and its processes."""
    sendwise = Path(sys.executable).with_name("sendwise")
    chosen = [part for name in MOMENT_BASED for part in ("--estimator", name)]
    started, used = time.perf_counter(), os.times()
    with subprocess.Popen(
        [str(sendwise), "evaluate", "--table", str(path), *chosen, "--format", "json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        memory_mib = 0.0
        while process.poll() is None:
            memory_mib = max(memory_mib, resident_mib(process.pid))
            time.sleep(POLL_S)
        answer = json.loads(process.communicate()[0])
    wall_s, after = time.perf_counter() - started, os.times()
    processor_s = (after.children_user - used.children_user) + (
        after.children_system - used.children_system
    )
    assert answer["n"] == ROWS
    return {
        "rows": ROWS,
        "estimators": len(answer["estimates"]),
        "wall_s": wall_s,
        "processor_s": processor_s,
        "processor_s_by_cores": processor_s / (os.cpu_count() or 1),
        "resident_mib": memory_mib,
    }


def resident_mib(pid: int) -> float:
    """Resident memory of a process and of those that it started."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return 0.0
    own = sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))
    return own / 1024 + sum(resident_mib(int(child)) for child in children.split())


def beside(name: str, columns: Columns) -> dict[str, float]:
    """Nanoseconds of processor time a row, ours and theirs in turn, and their ratio."""
    ours, theirs = [], []
    for _ in range(REPETITIONS):
        ours.append(ours_ns(name, columns))
        theirs.append(theirs_ns(name, columns))
    ratios = [their / our for our, their in zip(ours, theirs, strict=True)]
    return {
        f"{name}_ns": median(ours),
        f"{name}_vw_ns": median(theirs),
        f"{name}_ratio": median(ratios),
    }


def ours_ns(name: str, columns: Columns) -> float:
    """Checks, weights, statistics, value and interval."""
    estimator = ESTIMATORS[name]()
    needed = ("reward", "p_log", "p_target", *estimator.needs)
    rows = len(columns["reward"])
    started = time.process_time()
    statistics = estimator.statistics()
    for start in range(0, rows, CHUNK_ROWS):
        chunk: dict[str, Any] = {
            column: columns[column][start : start + CHUNK_ROWS] for column in needed
        }
        statistics.add(Sample(**chunk))
    estimator.estimate(statistics)
    return (time.process_time() - started) / rows * 1e9


def theirs_ns(name: str, columns: Columns) -> float:
    """A value, without an interval."""
    module, rows = PEERS[name]
    lists = [columns[column][:rows].tolist() for column in ("p_log", "reward", "p_target")]
    started = time.process_time()
    estimator = module.Estimator()
    for p_log, reward, p_target in zip(*lists, strict=True):
        estimator.add_example(p_log, reward, p_target)
    estimator.get()
    return (time.process_time() - started) / len(lists[0]) * 1e9
