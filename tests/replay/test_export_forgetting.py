"""Exported tables when subjects are erased and days expire: nobody stays, and nothing is lost."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from decisionlog import erasure, retention
from decisionlog.ids import from_text, lower_bound, to_text
from decisionlog.tables import Table
from replay.export import export_days
from replay.export.day_facts import DAYS
from replay.export.files import clean
from tests.replay.exports import DAYS_LIVED, EACH_DAY, expire_until, ids_of, rows, three_days
from tests.replay.history import History, history
from tests.replay.worlds import WORLD, live
from tests.shop import DAY_MS, START_MS


@pytest.fixture
def past(tmp_path: Path) -> Iterator[History]:
    """Yield a log of three days."""
    with three_days(tmp_path / "data") as past:
        yield past


def test_the_erased_leave_earlier_tables(past: History, tmp_path: Path) -> None:
    """The next export takes them out of what it wrote before, everybody else stays."""
    source = past.source()
    targets = [source.target("uniform")]
    export_days(source, tmp_path / "out", targets)
    before = {table: len(rows(tmp_path / "out", table)) for table in ("decisions", "evaluation")}
    victims = [one.decision.subject for one in past.log.scan()][2:EACH_DAY:2]
    erasure.erase(past.log.store, victims, past.clock.now_ms)
    done = export_days(past.source(), tmp_path / "out", targets)
    assert (done.written, done.skipped) == ([], DAYS_LIVED)
    assert 4 * len(victims) <= done.cleaned <= 5 * len(victims)
    assert not {victim.hex() for victim in victims} & named(tmp_path / "out")
    assert len(rows(tmp_path / "out", "decisions")) == before["decisions"] - len(victims)
    assert len(rows(tmp_path / "out", "evaluation")) == before["evaluation"] - len(victims)


def hidden(past: History, places: slice, at_ms: int) -> set[str]:
    """Erase some of the log's subjects; return them as tables name them."""
    victims = [one.decision.subject for one in past.log.scan()][places]
    erasure.erase(past.log.store, victims, at_ms)
    return {victim.hex() for victim in victims}


def named(directory: Path) -> set[str]:
    """Return the subjects that any table names."""
    tables = ("decisions", "deliveries", "rewards", "interactions")
    return {row["subject"] for table in tables for row in rows(directory, table)}


@pytest.mark.parametrize("done", range(4))
def test_a_cleaning_that_was_stopped_is_finished(past: History, tmp_path: Path, done: int) -> None:
    """After a crash between two tables, the next export takes the erased out of the others."""
    export_days(past.source(), tmp_path / "out")
    victims = hidden(past, slice(2, EACH_DAY, 2), past.clock.now_ms)
    turns = iter(range(done))

    def clean_or_crash(path: Path, is_kept: Callable[[str], bool]) -> int:
        if next(turns, None) is None:
            raise ZeroDivisionError
        return clean(path, is_kept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("replay.export.cleaning.clean", clean_or_crash)
        with pytest.raises(ZeroDivisionError):
            export_days(past.source(), tmp_path / "out")
    found = export_days(past.source(), tmp_path / "out")
    assert not victims & named(tmp_path / "out")
    assert (found.written, found.skipped) == ([], DAYS_LIVED)


def test_an_erasure_by_a_clock_that_was_set_back_is_honoured(past: History, tmp_path: Path) -> None:
    """Whoever is erased at an earlier time than others before leaves tables of old days as well."""
    victim = next(past.log.scan()).decision.subject
    hidden(past, slice(1, 2), past.clock.now_ms)
    export_days(past.source(), tmp_path / "out")
    while retention.expire(past.log.store, lower_bound(START_MS + DAY_MS)) is not None:
        pass  # of the first day only its tables are left
    erasure.erase(past.log.store, [victim], past.clock.now_ms - 3_600_000)
    export_days(past.source(), tmp_path / "out")
    assert victim.hex() not in named(tmp_path / "out")


def test_the_erased_leave_tables_of_earlier_runs(past: History, tmp_path: Path) -> None:
    """Also tables of a policy that is asked for no more, and of a day that was never finished."""
    export_days(past.source(), tmp_path / "out", [past.source().target("uniform")])
    export_days(past.source(), tmp_path / "out")
    first = next(past.log.scan()).decision.decision_id
    day = min((tmp_path / "out" / DAYS).iterdir())
    day.unlink()  # as if the run had been killed before
    hidden(past, slice(1), past.clock.now_ms)
    export_days(past.source(start=lower_bound(START_MS + DAY_MS)), tmp_path / "out")
    for table in ("decisions", "deliveries", "rewards", "interactions", "evaluation"):
        assert to_text(first) not in {row["decision_id"] for row in rows(tmp_path / "out", table)}


def test_an_erasure_under_way_is_honoured(past: History, tmp_path: Path) -> None:
    """What is still in the log of a subject that is being erased is not exported any more."""
    victim = next(past.log.scan()).decision.subject
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(erasure, "_remove_group", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            erasure.erase(past.log.store, [victim], past.clock.now_ms)
    export_days(past.source(), tmp_path / "out")
    subjects = {row["subject"] for row in rows(tmp_path / "out", "decisions")}
    assert victim.hex() not in subjects
    assert len(subjects) == DAYS_LIVED * EACH_DAY - 1


def test_what_expired_stays_exported(past: History, tmp_path: Path) -> None:
    """A day that retention has removed from the log keeps the tables that it has."""
    export_days(past.source(), tmp_path / "out")
    before = rows(tmp_path / "out", "decisions")
    bound = lower_bound(START_MS + DAY_MS + 100_000)  # within the second day
    while retention.expire(past.log.store, bound) is not None:
        pass
    done = export_days(past.source(), tmp_path / "out")
    assert done.written == []
    assert rows(tmp_path / "out", "decisions") == before


def test_a_day_that_expires_in_part_goes_on(tmp_path: Path) -> None:
    """What came after its first export is exported; what expired keeps its rows, in all tables."""
    out = tmp_path / "out"
    with history(tmp_path / "data", WORLD) as past:
        live(past, EACH_DAY)
        noon_ms = past.clock.now_ms
        targets = [past.source().target("uniform")]
        export_days(past.source(noon_ms), out, targets)
        past.clock.now_ms = noon_ms + 3_600_000
        live(past, EACH_DAY)
        ids = ids_of(past)
        expire_until(past, from_text(ids[3]))
        done = export_days(past.source(), out, targets)
        assert done.written == ["2026-03-02"]
        for table in ("decisions", "deliveries"):
            assert [row["decision_id"] for row in rows(out, table)] == ids
        # Of what expired before its window had closed nobody knows what it would have earned.
        for table in ("interactions", "evaluation"):
            assert [row["decision_id"] for row in rows(out, table)] == ids[3:]
        again = export_days(past.source(), out, targets)
        assert (again.written, again.skipped) == ([], 1)
        expire_until(past, from_text(ids[-2]))
        export_days(past.source(), out, targets)
        assert [row["decision_id"] for row in rows(out, "decisions")] == ids


@pytest.mark.parametrize("seed", range(8))
def test_retention_may_overtake_an_export(tmp_path: Path, seed: int) -> None:
    """Whatever expires while a day is written, each row of before or of the log is there once."""
    out, rng = tmp_path / "out", random.Random(seed)  # noqa: S311 - chooses moments
    tables = ("decisions", "deliveries", "rewards")
    with history(tmp_path / "data", WORLD) as past, pytest.MonkeyPatch.context() as patch:
        patch.setattr("replay.export.days.STRETCH", 7)
        live(past, 4 * EACH_DAY)
        export_days(past.source(), out)
        before = {table: identities(out, table) for table in tables}
        live(past, EACH_DAY)
        stranger = past.decide()
        past.deliver(stranger)
        past.delete(Table.DECISIONS, stranger.decision_id)
        bound = lower_bound(past.clock.now_ms + 1)
        expire_until(past, from_text(ids_of(past)[rng.randrange(40)]))

        def expire_some(_: int) -> None:
            if rng.random() < 0.2:
                retention.expire(past.log.store, bound, rng.randint(1, 20))

        done = export_days(past.source(), out, on_progress=expire_some)
        assert done.written == ["2026-03-02"]
        for table in tables:
            now = identities(out, table)
            assert len(now) == len(set(now))
            assert set(before[table]) <= set(now), f"seed {seed}"
        left = ids_of(past)
        assert len(left) < 4 * EACH_DAY, f"hardly anything expired with seed {seed}"
        assert set(left) <= {row["decision_id"] for row in rows(out, "decisions")}


def identities(directory: Path, table: str) -> list[tuple[str, str]]:
    """Return what names the rows of a table."""
    report = {"decisions": "decision_id", "deliveries": "delivery_id", "rewards": "reward_id"}
    return [(row["decision_id"], row[report[table]]) for row in rows(directory, table)]


def test_tables_of_earlier_versions_are_taken_over(past: History, tmp_path: Path) -> None:
    """Facts in another form count for nothing; columns that a table did not have are null."""
    out = tmp_path / "out"
    export_days(past.source(), out)
    ids = ids_of(past)
    for path in (out / DAYS).iterdir():
        path.write_text('{"day": "of old"}')
    for path in (out / "decisions").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None).drop_columns(["window_ms"])
        pq.write_table(table, path)
    expire_until(past, from_text(ids[5]))
    done = export_days(past.source(), out)
    assert len(done.written) == DAYS_LIVED
    found = rows(out, "decisions")
    assert [row["decision_id"] for row in found] == ids
    assert [row["window_ms"] is None for row in found] == [True] * 5 + [False] * (len(ids) - 5)
