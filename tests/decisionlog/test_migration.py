"""Logs of earlier schemas are brought to this one: whole, step by step, also after a stop."""

import shutil
from pathlib import Path

import pytest

from decisionlog import DecisionLog, LogMissing, UnknownSchema
from decisionlog.checking import Finding, check
from decisionlog.migration import Migrated, Step, migrate
from decisionlog.schema import SCHEMA_VERSION, schema_version
from decisionlog.store import ReadTransaction, Store, WriteTransaction
from decisionlog.tables import Table
from policy.registry import Registry
from replay.ledger import ledger
from replay.verify import Sought, verify
from tests.replay.history import KEYS

GOLDEN = Path(__file__).parents[1] / "golden" / "schema_1"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A data directory as the first version wrote it: 12 decisions with reports."""
    return Path(shutil.copytree(GOLDEN, tmp_path / "data"))


def test_a_log_of_the_first_schema_is_refused_untouched(old: Path) -> None:
    """The error says what to do, and the file stays as it is."""
    before = (old / "log" / "data.mdb").read_bytes()
    for read_only in (False, True):
        with pytest.raises(UnknownSchema, match="sendwise migrate") as caught:
            DecisionLog.open(old, keys=KEYS, read_only=read_only)
        assert caught.value.found == 1
    assert (old / "log" / "data.mdb").read_bytes() == before


def test_a_log_of_the_first_schema_becomes_one_of_this(old: Path) -> None:
    """All of it is there, sound, exact and balanced, and more can be written to it."""
    with Store(old) as store:
        assert migrate(store) == Migrated(1, SCHEMA_VERSION, SCHEMA_VERSION - 1)
        assert migrate(store) == Migrated(SCHEMA_VERSION, SCHEMA_VERSION, 0)
    with DecisionLog.open(old, keys=KEYS) as log:
        registry = Registry(old)
        assert verify(Sought(log, registry)).exact == 12
        (catalog,) = (path.stem for path in (old / "catalogs").iterdir())
        found = ledger(log, registry.catalog(catalog).reward)
        assert found.balanced
        assert (found.decided, found.deliveries, found.rewards) == (12, 6, 4)
        findings: list[Finding] = []
        check(log.store, findings.append)
        assert findings == []
        (first, *_) = log.scan()
        assert log.find_request(KEYS.request_key("r0")) == first.decision


class StoppedError(Exception):
    """The process was killed."""


def test_a_stopped_step_goes_on_where_it_stood(old: Path) -> None:
    """Each part is done once, in a transaction of its own, and the schema changes at the end."""
    done: list[bytes] = []

    def step(stop_at: int) -> Step:
        def part(transaction: WriteTransaction, position: bytes) -> bytes | None:
            keys = _decisions(transaction, position)[:5]
            if len(done) == stop_at:
                raise StoppedError
            done.extend(keys)
            return keys[-1] + b"\0" if len(keys) == 5 else None

        return part

    with Store(old) as store:
        with pytest.raises(StoppedError):
            migrate(store, {1: step(10)}, to=2)
        with store.read() as transaction:
            assert schema_version(transaction) == 1
        assert migrate(store, {1: step(-1)}, to=2).transactions == 1
        with store.read() as transaction:
            assert schema_version(transaction) == 2
            assert done == _decisions(transaction, b"")


def _decisions(transaction: ReadTransaction, start: bytes) -> list[bytes]:
    cursor = transaction.cursor(Table.DECISIONS)
    found, there = [], cursor.set_range(start)
    while there:
        found.append(cursor.key())
        there = cursor.next()
    return found


def test_without_a_way_nothing_is_changed(old: Path) -> None:
    """A schema that no step begins with is refused before anything is done."""
    with Store(old) as store, pytest.raises(UnknownSchema):
        migrate(store, {1: lambda *_: None}, to=3)
    with Store(old) as store:
        assert migrate(store).from_schema == 1


def test_no_log_is_not_migrated(tmp_path: Path) -> None:
    """There is nothing to bring anywhere."""
    with Store(tmp_path) as store, pytest.raises(LogMissing):
        migrate(store)
