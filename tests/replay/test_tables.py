"""Tables stream in bounded memory, and every fault is named by file, row and column."""

import bz2
import gzip
import math
import tracemalloc
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from replay.errors import (
    BadTableError,
    BadValueError,
    ColumnTypeError,
    EmptyTableError,
    MissingColumnError,
    TableFormatError,
    UnknownEstimatorError,
)
from replay.estimate import Bounds
from replay.estimators import ESTIMATORS
from replay.evaluation import Evaluation, evaluate_table
from replay.intervals.settings import IntervalSettings
from replay.sample import NUMBERS, STAGES
from replay.table_formats import CHUNK_ROWS
from replay.tables import open_table
from tests.replay.samples import sample_of, seeded_log

Columns = Mapping[str, object]
Write = Callable[[Path, Columns], None]


def write_parquet(path: Path, columns: Columns) -> None:
    """Columns as a Parquet file."""
    pq.write_table(pa.table(dict(columns)), path)


def write_csv(path: Path, columns: Columns) -> None:
    """Columns as a CSV file."""
    pyarrow.csv.write_csv(pa.table(dict(columns)), path)


def zstd(content: bytes) -> bytes:
    """Packed by Zstandard, for which Python 3.11 has no module."""
    packed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return packed


FORMATS = pytest.mark.parametrize("write", [write_parquet, write_csv], ids=["parquet", "csv"])
NEEDED = dict.fromkeys(("reward", "p_log", "p_target"), "every evaluation")


def good(n: int = 4) -> dict[str, object]:
    """Sound columns."""
    return {"reward": [1.0] * (n - 1) + [0.0], "p_log": [0.5] * n, "p_target": [0.25] * n}


def fault_of(path: Path, columns: Columns, write: Write = write_parquet) -> Exception:
    """What is wrong with a table, as its error says."""
    write(path, columns)
    with pytest.raises(BadTableError) as caught:
        evaluate_table(path)
    assert str(path) in str(caught.value)
    return caught.value.cause


@FORMATS
def test_a_table_gives_what_its_rows_give(tmp_path: Path, write: Write) -> None:
    """A table of several chunks evaluates to what its rows do in memory, bit for bit."""
    rows = seeded_log(6, CHUNK_ROWS + 5, 10.0)
    names = ["reward", "p_log", "p_target", "q_logged", "v_target"]
    write(tmp_path / "t", dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))
    expected = Evaluation(["ips", "snips", "dm", "dr"])
    expected.add(sample_of(rows))
    assert evaluate_table(tmp_path / "t") == expected.result()


@FORMATS
def test_a_directory_is_one_table(tmp_path: Path, write: Write) -> None:
    """Files below a directory are read as one table; an engine's own files are left alone."""
    suffix = "parquet" if write is write_parquet else "csv"
    (tmp_path / "day=2").mkdir()
    write(tmp_path / f"a.{suffix}", good(3))
    write(tmp_path / "day=2" / f"b.{suffix}", good(4))
    (tmp_path / f"_started.{suffix}").write_text("not data")
    (tmp_path / "notes.txt").write_text("not data")
    assert evaluate_table(tmp_path).n == 7


def test_estimators_follow_the_columns(tmp_path: Path) -> None:
    """Without a choice, the usual estimators run whose columns are there; with `all`, every one."""
    write_parquet(tmp_path / "a", good())
    write_parquet(tmp_path / "b", {**good(), "v_target": [0.5] * 4})
    assert set(evaluate_table(tmp_path / "a").estimates) == {"ips", "snips"}
    assert set(evaluate_table(tmp_path / "b").estimates) == {"ips", "snips", "dm"}
    assert set(evaluate_table(tmp_path / "b", ["dm"]).estimates) == {"dm"}
    every = {name for name, kind in ESTIMATORS.items() if {"v_target"}.issuperset(kind.needs)}
    assert set(evaluate_table(tmp_path / "b", ["all"]).estimates) == every
    assert every == {"ips", "snips", "dm", "clipped_ips", "cressie_read", "mle"}


def test_subjects_of_some_files_alone_are_refused(tmp_path: Path) -> None:
    """Rows are not taken as independent because one file of many does not say whose they are."""
    write_parquet(tmp_path / "a.parquet", {**good(), "subject": [1, 1, 2, 2]})
    write_parquet(tmp_path / "b.parquet", good())
    with pytest.raises(BadTableError, match=r"b\.parquet: column subject .*--no-cluster"):
        evaluate_table(tmp_path)
    apart = IntervalSettings(clustered=False)
    assert not evaluate_table(tmp_path, intervals=apart).intervals.to_json()["clustered"]


def test_unsupported_mass_is_read_where_it_is_stated(tmp_path: Path) -> None:
    """The optional column of missing support reaches the verdict."""
    write_parquet(tmp_path / "t", {**good(), "p_unsupported": [0.5, 0.5, 0.0, 0.0]})
    found = evaluate_table(tmp_path / "t")
    assert found.diagnosis.summary.unsupported == 0.25


@FORMATS
def test_progress_reaches_the_end(tmp_path: Path, write: Write) -> None:
    """Progress counts every row, never goes back, and ends at all of the table."""
    n = 2**17 + 1  # more than a chunk of either format
    write(tmp_path / "t", good(n))
    seen: list[tuple[int, float]] = []
    evaluate_table(tmp_path / "t", on_progress=lambda rows, share: seen.append((rows, share)))
    assert seen == sorted(seen)
    assert len(seen) > 1
    assert seen[-1] == (n, 1.0)


def peak_bytes(path: Path) -> int:
    """The most that an evaluation of a table holds at a time, by numpy and by pyarrow."""
    pool, held = pa.default_memory_pool(), [0]
    before = pool.bytes_allocated()
    tracemalloc.start()
    try:
        evaluate_table(path, on_progress=lambda *_: held.append(pool.bytes_allocated()))
        return int(tracemalloc.get_traced_memory()[1] + max(held) - before)
    finally:
        tracemalloc.stop()


def test_a_longer_table_takes_no_more_memory(tmp_path: Path) -> None:
    """Of four times the rows in Parquet no more is held at a time."""
    peaks = []
    for rows in (2**19, 2**21):
        columns = {"reward": np.ones(rows), "p_log": np.full(rows, 0.5)}
        subject = np.arange(rows) % 1000
        table = {**columns, "p_target": columns["p_log"], "subject": subject}
        write_parquet(tmp_path / "t", table)
        peaks.append(peak_bytes(tmp_path / "t"))
    assert peaks[1] < 1.2 * peaks[0]


@FORMATS
@pytest.mark.parametrize("column", ["reward", "p_log", "p_target"])
def test_a_missing_column_is_named(tmp_path: Path, write: Write, column: str) -> None:
    """A table without a needed column says which one and who needs it."""
    columns = {name: values for name, values in good().items() if name != column}
    cause = fault_of(tmp_path / "t", columns, write)
    assert isinstance(cause, MissingColumnError)
    assert (cause.column, cause.needed_by) == (column, "every evaluation")


@FORMATS
def test_a_missing_column_is_looked_for(tmp_path: Path, write: Write) -> None:
    """The error lists the columns that are there, not hundreds of them, and a name that is near."""
    columns = {"reward": [1.0], "p_log": [0.5], "p_targt": [0.5]}
    assert str(fault_of(tmp_path / "t", columns, write)) == (
        "column p_target is missing and every evaluation needs it; "
        "there are reward, p_log, p_targt (is p_targt meant?)"
    )
    many = {f"feature_{number:03}": [0.0] for number in range(300)}
    wide = str(fault_of(tmp_path / "t", {"reward": [1.0], "p_log": [0.5], **many}, write))
    assert wide.endswith("there are reward, p_log, feature_000, " + wide.partition("_000, ")[2])
    assert len(wide) < 500
    assert wide.endswith(" and 282 more")


def test_an_estimators_missing_column_is_named(tmp_path: Path) -> None:
    """A chosen estimator whose column is absent is named with it."""
    write_parquet(tmp_path / "t", good())
    with pytest.raises(BadTableError) as caught:
        evaluate_table(tmp_path / "t", ["ips", "dr"])
    assert isinstance(caught.value.cause, MissingColumnError)
    assert caught.value.cause.needed_by == "dr"


@FORMATS
@pytest.mark.parametrize(
    ("column", "bad"), [("p_log", 0.0), ("p_log", 1.5), ("p_target", -0.5), ("reward", None)]
)
def test_a_bad_row_is_named(tmp_path: Path, write: Write, column: str, bad: float | None) -> None:
    """The row counts from 1 within its file, over chunks; empty values are faults too."""
    n = CHUNK_ROWS + 3
    columns = good(n)
    columns[column] = [0.5] * (n - 2) + [bad, 0.5]
    cause = fault_of(tmp_path / "t", columns, write)
    assert isinstance(cause, BadValueError)
    assert (cause.row, cause.column) == (n - 1, column)


@pytest.mark.parametrize("text", ["abc", "0,5", "1_0", "0x1", "nan"])
def test_text_that_is_no_number_is_named(tmp_path: Path, text: str) -> None:
    """A CSV value that is no number is shown with its row and column."""
    path = tmp_path / "t.csv"
    path.write_text(f'reward,p_log,p_target\n1,0.5,0.5\n1," 0.5 ",0.5\n1,"{text}",0.5\n')
    with pytest.raises(BadTableError) as caught:
        evaluate_table(path)
    assert isinstance(caught.value.cause, BadValueError)
    assert (caught.value.cause.row, caught.value.cause.column) == (3, "p_log")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    "values",
    [
        ["1", "0", "1", "0"],
        [[1.0]] * 4,
        pa.array([0, 1, 2, 3], pa.timestamp("us")),
    ],
    ids=["text", "lists", "times"],
)
def test_a_parquet_column_of_another_type_is_named(tmp_path: Path, values: object) -> None:
    """Parquet knows its types: text that looks like numbers is refused, and so is the rest."""
    cause = fault_of(tmp_path / "t", {**good(), "reward": values})
    assert isinstance(cause, ColumnTypeError)
    assert cause.column == "reward"


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 0, 1, 0], np.int8),
        np.array([1, 0, 1, 0], np.float32),
        [True, False, True, False],
        [Decimal("1.0"), Decimal("0.0"), Decimal("1.0"), Decimal("0.0")],
    ],
    ids=["int8", "float32", "bool", "decimal"],
)
def test_every_kind_of_number_is_read(tmp_path: Path, values: object) -> None:
    """Whole numbers, short floats, flags and decimals are numbers."""
    write_parquet(tmp_path / "t", {**good(), "reward": values})
    found = evaluate_table(tmp_path / "t", ["snips"]).estimates["snips"]
    assert found is not None
    assert found.value == 0.5


@FORMATS
@pytest.mark.parametrize("subjects", [["ann", "bob", "ann", "cy"], [7, 8, 7, 9]])
def test_subjects_become_clusters(tmp_path: Path, write: Write, subjects: list[object]) -> None:
    """Equal subjects share a cluster id, whether they are text or numbers."""
    write(tmp_path / "t", {**good(), "subject": subjects})
    (chunk,) = open_table(tmp_path / "t").chunks({**NEEDED, "subject": "clusters"})
    assert chunk.sample.subject is not None
    ids = chunk.sample.subject.tolist()
    assert ids[0] == ids[2]
    assert len(set(ids)) == 3


def clusters_of(path: Path) -> list[int]:
    """Cluster ids of a table's subjects."""
    (chunk,) = open_table(path).chunks({**NEEDED, "subject": "clusters"})
    assert chunk.sample.subject is not None
    return [*map(int, chunk.sample.subject)]


def test_a_subject_is_the_same_in_every_format(tmp_path: Path) -> None:
    """A whole number is itself, however a file holds it; other text is told apart by its hash."""
    forms = {"int": [7, -8, 7, 9], "float": [7.0, -8.0, 7.0, 9.0], "text": ["7", "-8", "7", "9"]}
    for name, subjects in forms.items():
        write_parquet(tmp_path / f"{name}.parquet", {**good(), "subject": subjects})
        write_csv(tmp_path / f"{name}.csv", {**good(), "subject": subjects})
    (tmp_path / "decimal.csv").write_text("reward,p_log,p_target,subject\n1,1,1,7.0\n")
    assert {tuple(clusters_of(path)) for path in tmp_path.glob("*") if path.stem in forms} == {
        (7, -8, 7, 9)
    }
    assert clusters_of(tmp_path / "decimal.csv") == [7]
    words = {**good(), "subject": ["ann", "007", "7", "5e3"]}
    for write in (write_parquet, write_csv):
        write(tmp_path / "words", words)
        assert len(set(clusters_of(tmp_path / "words"))) == 4
        assert clusters_of(tmp_path / "words")[2] == 7


@FORMATS
@pytest.mark.parametrize("bad", [1.5, -0.25, 2.0**53])
def test_a_subject_that_is_no_whole_number_is_named(
    tmp_path: Path, write: Write, bad: float
) -> None:
    """Floats that are not whole, or too large to be exact, would mix customers up."""
    columns = {**good(), "subject": pa.array([1.0, 2.0, bad, bad])}
    cause = fault_of(tmp_path / "t", columns, write)
    assert isinstance(cause, BadValueError)
    assert (cause.row, cause.column) == (3, "subject")
    assert "whole number or text" in str(cause)


@FORMATS
def test_an_empty_table_is_an_error(tmp_path: Path, write: Write) -> None:
    """A table with columns and no rows has an error of its own."""
    write(tmp_path / "t", {name: pa.array([], pa.float64()) for name in good()})
    with pytest.raises(EmptyTableError):
        evaluate_table(tmp_path / "t")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PAR1 and then nothing of the kind",
        b"reward,p_log,p_target\n1,0.5\n",
        b"\xff\xfe,\n1\n",
    ],
    ids=["no bytes", "torn parquet", "ragged csv", "not utf-8"],
)
def test_what_cannot_be_read_is_an_error(tmp_path: Path, content: bytes) -> None:
    """Damaged files are named, with what the reader found."""
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(TableFormatError) as caught:
        evaluate_table(tmp_path / "t.csv")
    assert caught.value.path == tmp_path / "t.csv"


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("zst", zstd)]
)
def test_packed_csv_is_read(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    """A CSV file that is packed gives what the plain one gives, alone or in a directory."""
    n = 2**17 + 1
    write_csv(tmp_path / "plain.csv", good(n))
    packed = tmp_path / "packed" / f"t.csv.{suffix}"
    packed.parent.mkdir()
    packed.write_bytes(pack((tmp_path / "plain.csv").read_bytes()))
    seen: list[tuple[int, float]] = []
    found = evaluate_table(packed, on_progress=lambda rows, share: seen.append((rows, share)))
    assert found == evaluate_table(tmp_path / "plain.csv") == evaluate_table(packed.parent)
    assert seen == sorted(seen)
    assert seen[-1] == (n, 1.0)


def test_a_torn_packed_file_is_an_error(tmp_path: Path) -> None:
    """Half of a packed file is refused, not taken for a shorter table."""
    write_csv(tmp_path / "t.csv", good(5_000))
    whole = gzip.compress((tmp_path / "t.csv").read_bytes())
    (tmp_path / "t.csv.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TableFormatError, match=r"t\.csv\.gz: it cannot be read"):
        evaluate_table(tmp_path / "t.csv.gz")


def test_a_torn_parquet_file_is_an_error(tmp_path: Path) -> None:
    """A file whose data pages are overwritten is refused while it is read."""
    path = tmp_path / "t.parquet"
    rows = seeded_log(2, 5_000, 3.0)
    write_parquet(
        path, dict(zip(["reward", "p_log", "p_target"], zip(*rows, strict=True), strict=False))
    )
    content = bytearray(path.read_bytes())
    content[4:400] = b"\xff" * 396
    path.write_bytes(bytes(content))
    with pytest.raises(TableFormatError):
        evaluate_table(path)


def test_a_column_that_is_there_twice_is_an_error(tmp_path: Path) -> None:
    """Of two columns with one name none is chosen silently."""
    (tmp_path / "t.csv").write_text("reward,p_log,p_target,reward\n1,0.5,0.5,0\n")
    with pytest.raises(TableFormatError, match="reward is there 2 times"):
        evaluate_table(tmp_path / "t.csv")


def test_a_path_to_nothing_is_an_error(tmp_path: Path) -> None:
    """An absent path and a directory without data are told apart from empty tables."""
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(TableFormatError):
            evaluate_table(path)


def test_a_reward_outside_its_bounds_is_named(tmp_path: Path) -> None:
    """Faults that only an estimator can see carry the file as well."""
    write_parquet(tmp_path / "t", good())
    with pytest.raises(BadTableError) as caught:
        evaluate_table(tmp_path / "t", intervals=IntervalSettings(bounds=Bounds(0.5, 1.0)))
    assert isinstance(caught.value.cause, BadValueError)
    assert caught.value.cause.row == 4


def test_an_unknown_estimator_is_named(tmp_path: Path) -> None:
    """A misspelt estimator is the caller's fault, not the table's."""
    write_parquet(tmp_path / "t", good())
    with pytest.raises(UnknownEstimatorError):
        evaluate_table(tmp_path / "t", ["ipw"])


@FORMATS
def test_columns_of_loggers_stages_and_features_are_read(tmp_path: Path, write: Write) -> None:
    """With every optional column there, `all` runs every estimator; loggers may have names."""
    generator = np.random.default_rng(2)
    n = 40
    columns: dict[str, object] = {"logger": ["one", "two"] * (n // 2), "subject": list(range(n))}
    for name, (low, high, _) in NUMBERS.items():
        columns[name] = generator.uniform(max(low, 0.2), min(high, 1.0), n)
    for joint in ("p_log", "p_target"):
        stages = [np.asarray(columns[f"{joint}_{stage}"]) for stage in STAGES]
        columns[joint] = stages[0] * stages[1] * stages[2]
        columns[f"{joint}_features"] = stages[0]
    write(tmp_path / "t", columns)
    found = evaluate_table(tmp_path / "t", ["all"])
    assert set(found.estimates) == set(ESTIMATORS)
    assert None not in found.estimates.values()


@FORMATS
@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("p_mixture", 0.0),
        ("p_log_channel", 1.5),
        ("p_target_time", -0.1),
        ("v_offer", math.inf),
        ("p_log_features", math.nan),
    ],
)
def test_impossible_values_of_optional_columns_are_named(
    tmp_path: Path, write: Write, column: str, value: float
) -> None:
    """Every column has its rule, and the error names row and column."""
    estimator = next(name for name, kind in ESTIMATORS.items() if column in kind.needs)
    columns = {**good(), **dict.fromkeys(ESTIMATORS[estimator].needs, [0.5] * 4)}
    columns[column] = [0.5, 0.5, value, 0.5]
    write(tmp_path / "t", columns)
    with pytest.raises(BadTableError) as caught:
        evaluate_table(tmp_path / "t", [estimator])
    assert isinstance(caught.value.cause, BadValueError)
    assert (caught.value.cause.row, caught.value.cause.column) == (3, column)
