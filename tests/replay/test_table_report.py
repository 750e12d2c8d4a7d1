"""The report of a table: its estimates, or the reason why there are none, and nothing else."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replay.report import render_report
from replay.report_data import Unit
from replay.table_report import summarise_table
from replay.verdict import Verdict
from tests.replay.history import LATER_MS, at

ROWS = 5000


def table(path: Path, *, reward: np.ndarray | None = None, **columns: np.ndarray) -> Path:
    """A table of a target that differs from the logging policy a little."""
    rng = np.random.default_rng(1)
    p_log = np.where(rng.random(ROWS) < 0.6, 0.6, 0.4)
    given = (rng.random(ROWS) < 0.3).astype(float) if reward is None else reward
    whole = {"reward": given, "p_log": p_log, "p_target": np.full(ROWS, 0.5), **columns}
    pq.write_table(pa.table(whole), path)
    return path


def test_a_table_has_a_report(tmp_path: Path) -> None:
    """Every estimator in a row, the paired difference, weights; progress comes to its end."""
    shares: list[float] = []
    path = table(tmp_path / "log.parquet")
    data = summarise_table(path, at(LATER_MS), lambda _, share: shares.append(share))
    assert data.title == "log.parquet"
    assert {"target policy, ips", "target policy, snips"} <= {row.name for row in data.policies}
    assert data.policies[0].weights is not None
    assert sum(data.policies[0].weights.counts) == ROWS
    snips = next(row for row in data.policies if row.name == "target policy, snips")
    assert snips.estimate is not None
    assert snips.comparison is not None
    assert snips.comparison.difference.value == pytest.approx(
        snips.estimate.value - data.logging.value
    )
    assert data.unit is Unit.RATE
    assert shares[-1] == 1.0
    assert shares == sorted(shares)
    assert data.headlines[0].startswith("By this table the target policy is worth 29")
    assert "target policy, snips" in render_report(data)


def test_rows_of_a_subject_are_not_independent(tmp_path: Path) -> None:
    """The logging policy's mean is as uncertain if each subject's row is there ten times."""
    rng = np.random.default_rng(2)
    reward, subject = (rng.random(ROWS) < 0.3).astype(float), np.arange(ROWS)
    subject[1::2] = subject[::2]
    reward[1::2] = reward[::2]
    paired = table(tmp_path / "paired.parquet", reward=reward, subject=subject)
    alone = table(tmp_path / "alone.parquet", reward=reward)
    logging, narrow = (summarise_table(one, at(LATER_MS)).logging for one in (paired, alone))
    (low, high), (low_alone, high_alone) = logging.interval, narrow.interval
    assert logging.value == narrow.value
    assert high - low == pytest.approx(2**0.5 * (high_alone - low_alone), rel=1e-2)


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (
            {"p_target": np.asarray([1.0, *[0.5] * (ROWS - 1)]),
             "p_log": np.asarray([1e-6, *[0.5] * (ROWS - 1)])},
            "one interaction of weight 1,000,000 carries 99.5% of all weight",
        ),
        ({"p_target": np.zeros(ROWS)}, "takes none of the logged actions"),
        ({"p_log": np.full(ROWS, 0.25)}, "do not belong to the choices"),
    ],
)  # fmt: skip
def test_a_refused_table_shows_no_number(
    tmp_path: Path, columns: dict[str, np.ndarray], reason: str
) -> None:
    """A weight of a million, no overlap, probabilities of other choices: the reason alone."""
    reward = np.full(ROWS, 0.5)
    reward[0] = 777.0
    data = summarise_table(table(tmp_path / "t.parquet", reward=reward, **columns), at(LATER_MS))
    assert data.policies[0].verdict is Verdict.REFUSE
    assert data.headlines[0].startswith("This table cannot say what the target policy is worth: ")
    assert any(reason in one for one in data.policies[0].reasons)
    text = render_report(data)
    assert text.count("<span>no estimate</span>") == len(data.policies)
    assert "<span><strong>" not in text
    assert all(row.shown is None for row in data.policies)
