"""The errors: one tree, which keeps its facts on the way between processes."""

import pickle
from pathlib import Path

import pytest

from decisionlog import errors
from decisionlog.errors import DecisionLogError

ID = bytes.fromhex("0199a1b2c3d47e5f8123456789abcdef")
TEXT = "0199a1b2-c3d4-7e5f-8123-456789abcdef"
HERE = Path("data")
SAMPLES: list[tuple[DecisionLogError, list[str]]] = [
    (errors.InvalidRecord("too long"), ["too long"]),
    (errors.RecordTooLarge(5_000_000, 4_194_304), ["5000000", "4194304"]),
    (errors.MalformedDecisionId("x|y"), ["'x|y'", "version 7"]),
    (errors.DecisionIdReused(ID), [TEXT, "clock"]),
    (errors.RequestIdReused(ID), [TEXT, "id of its own"]),
    (errors.Overtaken(ID), [TEXT, "choose again"]),
    (errors.ContactRefused(ID), [TEXT, "choose again"]),
    (errors.SubjectErased(ID), [TEXT, "decide again"]),
    (errors.AdmissionFailed(ID), [TEXT, "cause"]),
    (errors.DeliveryIdReused(ID, "smtp-1"), [TEXT, "'smtp-1'", "id of its own"]),
    (errors.RewardIdReused(ID, "order-1"), [TEXT, "'order-1'", "id of its own"]),
    (errors.DamagedRecord("rewards", b"\xab", "its checksum does not fit"), ["ab", "backup"]),
    (errors.LogFull(HERE, "its map is full"), ["data", "nothing was stored", "larger map"]),
    (errors.LogUnavailable(HERE, "no such device"), ["data", "no such device"]),
    (errors.LogMissing(HERE), ["data", "start the server"]),
    (errors.LogClosed(HERE), ["data", "closed"]),
    (errors.LogReadOnly(HERE), ["data", "open it for writing"]),
    (errors.LogDamaged(HERE, "page 3"), ["data", "page 3", "backup"]),
    (errors.UnknownSchema(HERE, 1, 2), ["schema 1", "schema 2", "sendwise migrate"]),
    (errors.UnknownSchema(HERE, 3, 2), ["schema 3", "version of the program"]),
    (errors.UnknownSchema(HERE, None, 1), ["no schema"]),
    (errors.KeyFileError(HERE, "it is missing"), ["data", "missing"]),
    (errors.TombstoneFileError(HERE, 3, "it is no tombstone"), ["line 3", "data", "unchanged"]),
    (errors.DirectoryTaken(HERE), ["data", "not empty"]),
    (errors.BackupInside(HERE / "copy", HERE), ["data/copy", "directory outside"]),
    (errors.BackupDamaged(HERE, "its hash differs"), ["data", "its hash", "another backup"]),
    (errors.KeyRequired(HERE), ["data", "key file"]),
    (errors.WrongKey(HERE, b"\x01", b"\x02"), ["01", "02", "key file"]),
    (errors.NoRecordKey(HERE), ["data", "--new-key"]),
    (errors.RecordKeyMissing(b"\x0a\x0b"), ["0a0b", "--key-ring"]),
]


def _subclasses(of: type[DecisionLogError]) -> set[type[DecisionLogError]]:
    return {each for sub in of.__subclasses__() for each in {sub} | _subclasses(sub)}


def test_every_error_is_tested_here() -> None:
    """No error of the tree is left out of this file."""
    assert {type(error) for error, _ in SAMPLES} == _subclasses(DecisionLogError)


@pytest.mark.parametrize(("error", "words"), SAMPLES, ids=lambda each: type(each).__name__)
def test_messages_say_what_and_what_to_do(error: DecisionLogError, words: list[str]) -> None:
    """Every message names the facts and the remedy."""
    assert [word for word in words if word not in str(error)] == []


@pytest.mark.parametrize("error", [error for error, _ in SAMPLES], ids=repr)
def test_errors_survive_pickling(error: DecisionLogError) -> None:
    """An error that comes from another process has the same type, facts and message."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert type(copy) is type(error)
    assert vars(copy) == vars(error)
    assert str(copy) == str(error)
