"""After a warm-up nothing is left to compile."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WARM = """
import sys
from pathlib import Path

import replay.warm_up
import policy.warm_up
from replay.evaluation import evaluate_table
from replay.intervals.settings import IntervalSettings, Method
from replay.ledger import ledger
from replay.train import train
from tests.replay.history import LATER_MS, at, history
from tests.replay.worlds import WORLD, live


def signatures():
    modules = [one for name, one in sys.modules.items() if name.startswith(("policy.", "replay."))]
    found = [item for one in modules for item in vars(one).values() if hasattr(item, "overloads")]
    return {(one.__module__, one.__name__, each) for one in found for each in one.overloads}


policy.warm_up.warm_up()
replay.warm_up.warm_up()
before = signatures()
for method in (Method.SKEW, Method.BOOTSTRAP):
    evaluate_table(Path("t.parquet"), ["all"], intervals=IntervalSettings(method))
with history(Path("data"), WORLD) as past:
    live(past, 40)
    source = past.source()
    train(source.interactions(), source.catalog, past.registry, at(LATER_MS), held_out_share=0.0)
    ledger(past.log, source.catalog.reward)
print(len(before), *sorted(str(one[:2]) for one in signatures() - before))
"""


def ran(script: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """A program that has the project's packages, in a directory of its own."""
    root, program = str(Path(__file__).parents[2]), directory / "program.py"
    program.write_text(f"import sys\nsys.path[:0] = [{root!r}]\n{script}", encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(program)],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )


def test_nothing_is_left_to_compile(tmp_path: Path) -> None:
    """Evaluations, training and the ledger find every function as their arguments need it."""
    columns = {name: np.full(50, 0.5) for name in ("reward", "p_log", "p_target", "q_logged")}
    table = {**columns, "v_target": np.full(50, 0.5), "subject": np.arange(50)}
    pq.write_table(pa.table(table), tmp_path / "t.parquet")
    count, *left = ran(WARM, tmp_path).stdout.rstrip("\n").split(" ", 1)
    assert int(count) > 10
    assert left == []
