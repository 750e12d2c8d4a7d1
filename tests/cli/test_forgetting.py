"""A model trained after an erasure has nothing of the erased; those from before are marked."""

import shutil
from pathlib import Path

from decisionlog import DecisionLog, erasure
from decisionlog.cursors import keys_from
from decisionlog.store import ReadTransaction
from decisionlog.tables import Table
from policy.registry import Registry
from tests.cli.conftest import AS_OF, Sendwise
from tests.replay.history import KEYS, LATER_MS, history
from tests.replay.worlds import WORLD, live

HOUR_MS = 3_600_000
ERASED = [f"customer-{number}" for number in range(0, 300, 3)]


def trained(sendwise: Sendwise, data: Path) -> str:
    """Trains on all of a log; returns the version."""
    ended = sendwise("train", "--data", data, "--as-of", AS_OF, "--held-out", 0, "--format", "json")
    return str(ended.json["version"])


def test_the_next_training_run_knows_nothing_of_the_erased(
    sendwise: Sendwise, tmp_path: Path
) -> None:
    """It gives the very weights that a log gives which never held the erased subjects.

    Before the erasure the weights are others, so what was erased would show. The model from after
    it is marked once somebody else is erased, also if the clock was set back meanwhile.
    """
    with history(tmp_path / "data", WORLD) as past:
        live(past, 300)
    before = trained(sendwise, tmp_path / "data")
    without = Path(shutil.copytree(tmp_path / "data", tmp_path / "without"))
    pseudonyms = [KEYS.pseudonym(name) for name in ERASED]
    with DecisionLog.open(without, keys=KEYS) as log:
        # What erasure shall do, done by hand: rows by rows, by the key of each.
        gone = [
            one.decision.decision_id for one in log.scan() if one.decision.subject in pseudonyms
        ]
        with log.store.write() as transaction:
            for table in (Table.DECISIONS, Table.DELIVERIES, Table.REWARDS):
                rows = [key for key in _keys(transaction, table) if key[:16] in gone]
                assert all(transaction.delete(table, key) for key in rows)
    with DecisionLog.open(tmp_path / "data", keys=KEYS) as log:
        erasure.erase(log.store, pseudonyms, LATER_MS)
    after, expected = trained(sendwise, tmp_path / "data"), trained(sendwise, without)
    weights = [
        Registry(directory).manifest(version).files["weights.npy"]
        for directory, version in [
            (tmp_path / "data", before),
            (tmp_path / "data", after),
            (without, expected),
        ]
    ]
    assert weights[1] == weights[2] != weights[0]
    manifest = Registry(tmp_path / "data").manifest(after)
    assert manifest.training.erased_until_ms == LATER_MS
    assert manifest.interactions == 300 - len(ERASED)
    found = sendwise("models", "--data", tmp_path / "data", "--format", "json").json["models"]
    assert {one["version"]: one["erased_since"] for one in found} == {before: len(ERASED), after: 0}
    assert "train anew" in sendwise("models", "--data", tmp_path / "data").out
    with DecisionLog.open(tmp_path / "data", keys=KEYS) as log:
        erasure.erase(log.store, [KEYS.pseudonym("customer-1")], LATER_MS - HOUR_MS)
    found = sendwise("models", "--data", tmp_path / "data", "--format", "json").json["models"]
    assert {one["version"]: one["erased_since"] for one in found}[after] == 1


def _keys(transaction: ReadTransaction, table: Table) -> list[bytes]:
    return list(keys_from(transaction.cursor(table), b""))
