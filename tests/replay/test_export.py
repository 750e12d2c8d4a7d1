"""The exported tables: all that the log holds, once, by day, and nothing of the erased."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from decisionlog import DeliveryStatus, Reward
from decisionlog.ids import lower_bound, to_text
from decisionlog.readable import time_text
from decisionlog.tables import Table
from replay.evaluation import evaluate_table
from replay.export import export_days
from replay.export.columns import SCHEMAS
from replay.export.day_facts import DAYS
from replay.export.files import BATCH_BYTES, UNFINISHED, table_writer
from tests.replay.evaluations import evaluate_log
from tests.replay.exports import DAYS_LIVED, EACH_DAY, rows, three_days
from tests.replay.history import KEYS, LATER_MS, History, history
from tests.server.process import ENVIRONMENT, ROOT
from tests.shop import DAY_MS, START_MS


@pytest.fixture
def past(tmp_path: Path) -> Iterator[History]:
    """Yield a log of three days."""
    with three_days(tmp_path / "data") as past:
        yield past


def test_everything_is_exported_once(past: History, tmp_path: Path) -> None:
    """Every decision, delivery, reward and interaction is a row, in the day of its decision."""
    stranger = past.decide()
    past.delete(Table.DECISIONS, stranger.decision_id)
    past.deliver(stranger)
    progress: list[int] = []
    done = export_days(past.source(), tmp_path / "out", on_progress=progress.append)
    logged = list(past.log.scan())
    assert sum(progress) == len(logged) == DAYS_LIVED * EACH_DAY
    assert [row["decision_id"] for row in rows(tmp_path / "out", "decisions")] == [
        to_text(one.decision.decision_id) for one in logged
    ]
    assert len(rows(tmp_path / "out", "deliveries")) == len(logged) + 1
    orphans = [row for row in rows(tmp_path / "out", "deliveries") if row["subject"] is None]
    assert [row["decision_id"] for row in orphans] == [to_text(stranger.decision_id)]
    assert len(rows(tmp_path / "out", "rewards")) == sum(len(one.rewards) for one in logged)
    interactions = list(past.source().interactions())
    assert [(row["reward"], row["p_log"]) for row in rows(tmp_path / "out", "interactions")] == [
        (one.reward, one.decision.action_probability) for one in interactions
    ]
    assert done.written == ["2026-03-02", "2026-03-03", "2026-03-04"]
    assert done.rows["interactions"] == len(interactions)
    days = {path.parent.name for path in (tmp_path / "out" / "decisions").rglob("*.parquet")}
    assert days == {f"day={name}" for name in done.written}


def test_rows_say_what_the_record_says(past: History, tmp_path: Path) -> None:
    """Choice, probabilities and features of a decision, readable without a catalog."""
    past.clock.now_ms = START_MS
    quiet = past.decide("alice", eligible_offers=("past",))
    decision = past.decide("bob", features={"age": 41.5, "plan": 'a"|b\n'})
    past.deliver(decision, DeliveryStatus.FAILED)
    export_days(past.source(), tmp_path / "out")
    found = {row["decision_id"]: row for row in rows(tmp_path / "out", "decisions")}
    row = found[to_text(decision.decision_id)]
    assert row["subject"] == KEYS.pseudonym("bob").hex()
    assert time_text(decision.decided_at_ms) == row["decided_at"].isoformat(timespec="milliseconds")
    assert row["offer_pmf"] == list(decision.stages[0].pmf)
    assert row["offer"] == decision.tree[decision.path[0]][0]
    assert row["action_probability"] == decision.action_probability
    assert json.loads(row["features"]) == {"age": 41.5, "plan": 'a"|b\n'}
    assert (row["arm"], row["priority"], row["no_send_reason"]) == ("champion", "normal", None)
    nothing = found[to_text(quiet.decision_id)]
    assert (nothing["no_send_reason"], nothing["offer"], nothing["offer_pmf"]) == (
        "nothing_eligible",
        None,
        None,
    )
    for table in ("decisions", "deliveries", "rewards", "interactions"):
        for path in (tmp_path / "out" / table).rglob("*.parquet"):
            assert pq.read_schema(path).equals(SCHEMAS[table])


def test_the_windows_that_were_eligible_are_digits(tmp_path: Path) -> None:
    """The digits of the chosen node tell which window was chosen, and the columns when that is."""
    with history(tmp_path / "data") as past:  # a catalog of several channels and windows
        decisions = [past.decide() for _ in range(20)]
        export_days(past.source(), tmp_path / "out")
    for decision, row in zip(decisions, rows(tmp_path / "out", "decisions"), strict=True):
        nodes = json.loads(row["eligible"])
        offers = list(dict.fromkeys(node["offer"] for node in nodes))
        assert offers == [offer for offer, _ in decision.tree]
        assert len(nodes) == sum(len(channels) for _, channels in decision.tree)
        (node,) = (
            node
            for node in nodes
            if (node["offer"], node["channel"]) == (row["offer"], row["channel"])
        )
        open_windows = [place for place, digit in enumerate(node["windows"]) if digit == "1"]
        assert len(open_windows) == len(row["send_time_pmf"])
        window = open_windows[row["chosen"][2]]
        begin = row["windows_start"] + window * timedelta(milliseconds=row["window_ms"])
        assert row["send_time"] == max(begin, row["earliest_send_time"])


def test_rows_are_held_by_size(tmp_path: Path) -> None:
    """However large rows are, no more than some 16 MiB of them wait to be written."""
    path, count = tmp_path / "t.parquet", 100
    with table_writer(path, pa.schema([("text", pa.string())])) as writer:
        for number in range(count):
            writer.add({"text": str(number) * 2**20})
    written = pq.read_metadata(path)
    groups = [written.row_group(place) for place in range(written.num_row_groups)]
    assert sum(group.num_rows for group in groups) == count
    assert all(group.total_byte_size < 2 * BATCH_BYTES for group in groups)
    assert max(group.num_rows for group in groups) <= BATCH_BYTES // 2**20


def test_a_table_evaluates_as_the_log_does(past: History, tmp_path: Path) -> None:
    """The numbers of an exported policy are those of `evaluate` on the log, digit by digit."""
    source = past.source()
    targets = [source.target("uniform"), source.target("fixed/spring")]
    export_days(source, tmp_path / "out", targets)
    expected = evaluate_log(list(source.interactions()), targets)
    for target, name in zip(targets, ["uniform", "fixed%2Fspring"], strict=True):
        table = evaluate_table(tmp_path / "out" / "evaluation" / name, ["ips", "snips"])
        assert table.to_json() == expected[target.name].result.to_json()


def test_days_that_have_not_changed_are_skipped(past: History, tmp_path: Path) -> None:
    """A second run writes nothing; a late reward makes its day, and no other, anew."""
    export_days(past.source(), tmp_path / "out")
    again = export_days(past.source(), tmp_path / "out")
    assert (again.written, again.skipped) == ([], DAYS_LIVED)
    first = next(past.log.scan()).decision
    past.reward(first, reward_id="late", after_ms=5 * DAY_MS)
    assert export_days(past.source(), tmp_path / "out").written == ["2026-03-02"]
    names = [row["reward_id"] for row in rows(tmp_path / "out", "rewards")]
    assert names.count("late") == 1


def test_days_with_open_windows_are_written_again(past: History, tmp_path: Path) -> None:
    """Until all attribution windows of a day have closed, its interactions are not final."""
    as_of_ms = START_MS + 14 * DAY_MS + 1_000_000
    done = export_days(past.source(as_of_ms), tmp_path / "out")
    assert 0 < done.rows["interactions"] < DAYS_LIVED * EACH_DAY
    later = export_days(past.source(), tmp_path / "out")
    assert len(later.written) == DAYS_LIVED
    assert later.rows["interactions"] == DAYS_LIVED * EACH_DAY


def test_other_policies_are_other_tables(past: History, tmp_path: Path) -> None:
    """A run that asks for another policy's table writes that one alone, and each only once."""
    source, out = past.source(), tmp_path / "out"
    export_days(source, out)
    for name in ("uniform", "fixed/spring"):
        done = export_days(source, out, [source.target(name)])
        assert len(done.written) == DAYS_LIVED
        assert list(done.rows) == [f"evaluation/{quote(name, safe='')}"]
    for names in (["uniform"], [], ["fixed/spring", "uniform"]):
        done = export_days(source, out, [source.target(name) for name in names])
        assert (done.written, done.stale) == ([], [])


def test_policies_that_are_left_behind_are_named(past: History, tmp_path: Path) -> None:
    """A table that was not asked for when its day changed is called stale until it is."""
    out, targets = tmp_path / "out", [past.source().target("fixed/spring")]
    export_days(past.source(), out, targets)
    for one in list(past.log.scan())[:10]:
        past.reward(one.decision, after_ms=5000)
    assert export_days(past.source(), out).stale == ["fixed/spring"]
    assert export_days(past.source(), out).stale == ["fixed/spring"]
    done = export_days(past.source(), out, targets)
    assert (done.written, done.stale) == (["2026-03-02"], [])
    expected = evaluate_log(list(past.source().interactions()), targets)["fixed/spring"]
    table = evaluate_table(out / "evaluation" / "fixed%2Fspring", ["ips", "snips"])
    assert table.to_json() == expected.result.to_json()


def test_an_export_looks_from_its_moment(past: History, tmp_path: Path) -> None:
    """Decisions, reports and orphans that came later are in no table; later all of them are."""
    stranger = past.decide()
    past.delete(Table.DECISIONS, stranger.decision_id)
    past.deliver(stranger, after_ms=40 * DAY_MS)
    decision = past.decide()
    past.deliver(decision)
    past.reward(decision, after_ms=DAY_MS, reward_id="early")
    past.reward(decision, after_ms=20 * DAY_MS, reward_id="late")
    future = past.source().as_of_ms
    past.clock.now_ms = START_MS + 35 * DAY_MS
    later = past.decide()
    as_of_ms = START_MS + 10 * DAY_MS
    export_days(past.source(as_of_ms + 20 * DAY_MS), tmp_path / "out")  # all is settled then
    for moment, names in ((as_of_ms, {"early"}), (future, {"early", "late"})):
        export_days(past.source(moment), tmp_path / "out")
        found = rows(tmp_path / "out", "rewards")
        of_it = [row for row in found if row["decision_id"] == to_text(decision.decision_id)]
        assert {row["reward_id"] for row in of_it} == names
        is_now = moment == future
        decided = {row["decision_id"] for row in rows(tmp_path / "out", "decisions")}
        assert (to_text(later.decision_id) in decided) == is_now
        delivered = {row["decision_id"] for row in rows(tmp_path / "out", "deliveries")}
        assert (to_text(stranger.decision_id) in delivered) == is_now


def test_a_reward_behind_the_moment_is_not_lost(past: History, tmp_path: Path) -> None:
    """One that was there, but came after the moment of the first export, is in the next one."""
    first = next(past.log.scan()).decision
    past.reward(first, after_ms=30 * DAY_MS, reward_id="late")
    export_days(past.source(START_MS + 25 * DAY_MS), tmp_path / "out")
    done = export_days(past.source(), tmp_path / "out")
    assert done.written == ["2026-03-02"]
    assert "late" in {row["reward_id"] for row in rows(tmp_path / "out", "rewards")}


def test_tables_that_were_deleted_are_written_again(past: History, tmp_path: Path) -> None:
    """Whoever removes a table gets it anew from the next export that is asked for it."""
    out, targets = tmp_path / "out", [past.source().target("uniform")]
    export_days(past.source(), out, targets)
    count = len(rows(out, "evaluation"))
    shutil.rmtree(out / "evaluation")
    done = export_days(past.source(), out, targets)
    assert list(done.rows) == ["evaluation/uniform"]
    assert len(rows(out, "evaluation")) == count
    shutil.rmtree(out / "rewards")
    assert len(export_days(past.source(), out, targets).written) == DAYS_LIVED


def test_a_damaged_day_is_looked_at_again(past: History, tmp_path: Path) -> None:
    """What cannot be read is left out with its reports, and each export meets it anew."""
    first = next(past.log.scan()).decision
    past.damage(Table.DECISIONS, first.decision_id)
    for _ in range(2):
        source = past.source()
        assert "2026-03-02" in export_days(source, tmp_path / "out").written
        assert source.damaged == {first.decision_id}
    for table in ("decisions", "deliveries", "rewards"):
        found = {row["decision_id"] for row in rows(tmp_path / "out", table)}
        assert to_text(first.decision_id) not in found


def test_parts_of_days_are_whole_days(past: History, tmp_path: Path) -> None:
    """Bounds within a day take the whole day: no file stands for half of one."""
    bound = lower_bound(START_MS + DAY_MS + 1_000)
    until = lower_bound(START_MS + DAY_MS + 2_000)
    done = export_days(past.source(start=bound, until=until), tmp_path / "out")
    assert done.written == ["2026-03-03"]
    assert len(rows(tmp_path / "out", "decisions")) == EACH_DAY


def test_reports_on_days_to_come_wait(past: History, tmp_path: Path) -> None:
    """A report on an id from the year 10889 is in no table until that day has come."""
    first = next(past.log.scan())
    far = b"\xff" * 6 + first.decision.decision_id[6:]
    past.engine.report_rewards([Reward(far, "r", "visit", 1.0, 1, 1)])
    done = export_days(past.source(), tmp_path / "out")
    assert done.written[-1] == "2026-03-04"


KILLS = 8
SCRIPT = """
import os, sys
from pathlib import Path
from decisionlog import DecisionLog
from policy.catalog import load_catalog
from policy.registry import Registry
from replay.export import export_days
from replay.source import Source
data, out = map(Path, sys.argv[1:3])
catalog = load_catalog(next((data / "catalogs").iterdir()))
while sys.stdin.readline():
    child = os.fork()  # importing takes seconds, so it is done once
    if child == 0:
        with DecisionLog.open(data, keys=None, read_only=True) as log:
            export_days(Source(log, Registry(data), catalog, int(sys.argv[3])), out)
        os._exit(0)
    print("begun", flush=True)
    sys.stdin.readline()
    os.kill(child, 9)  # it may have ended, but is still there to be waited for
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def test_a_killed_export_leaves_no_torn_file(past: History, tmp_path: Path) -> None:
    """However often it is killed, every table there is can be read, and the last run completes."""
    rng = random.Random(7)  # noqa: S311 - chooses moments, guards nothing
    out = tmp_path / "out"
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "data"), str(out), str(LATER_MS)]
    codes = []
    with subprocess.Popen(
        command, env=ENVIRONMENT, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for _ in range(KILLS):
            process.stdin.write("go\n")
            process.stdin.flush()
            assert process.stdout.readline() == "begun\n"
            time.sleep(rng.uniform(0, 0.08))
            process.stdin.write("kill\n")
            process.stdin.flush()
            codes.append(int(process.stdout.readline()))
            for path in out.rglob("*.parquet"):
                pq.read_table(path, partitioning=None)
            for path in out.glob(f"{DAYS}/*.json"):
                json.loads(path.read_text())
        process.stdin.close()
    assert -signal.SIGKILL in codes
    export_days(past.source(), out)
    assert len(rows(out, "decisions")) == DAYS_LIVED * EACH_DAY
    assert list(out.rglob(f"*{UNFINISHED}")) == []
