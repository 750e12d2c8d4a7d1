"""What can go wrong with the log: one tree of errors that carry facts and know no transport."""
# ruff: noqa: N818 - errors are named for what happened, as the wire's reasons are

from pathlib import Path
from uuid import UUID


class DecisionLogError(Exception):
    """The root of the tree: catch it to catch all that this package raises on purpose.

    The arguments of every error are its attributes, so that errors survive pickling between
    processes.
    """


class InvalidRecord(DecisionLogError):
    """A record cannot be stored as it is; a fault of the code that made it."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem

    def __str__(self) -> str:
        return f"this record cannot be stored: {self.problem}"


class RecordTooLarge(InvalidRecord):
    """A record takes more bytes than any may; each of its parts may well be within its limits."""

    def __init__(self, size_bytes: int, maximum_bytes: int) -> None:
        super().__init__(f"it takes {size_bytes} bytes, more than {maximum_bytes}")
        self.args = (size_bytes, maximum_bytes)
        self.size_bytes = size_bytes
        self.maximum_bytes = maximum_bytes


class MalformedDecisionId(DecisionLogError):
    """A text is not the id of a decision."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return (
            f"{self.text[:64]!r} is not a decision id: give the id as it was returned, "
            "a UUID of version 7 in 36 characters"
        )


class DecisionIdReused(DecisionLogError):
    """Two different decisions have one id: the source of the ids is broken."""

    def __init__(self, decision_id: bytes) -> None:
        super().__init__(decision_id)
        self.decision_id = decision_id

    def __str__(self) -> str:
        return (
            f"another decision already has the id {UUID(bytes=self.decision_id)}: "
            "check the clock and the source of randomness, then decide again"
        )


class RequestIdReused(DecisionLogError):
    """A request id came back with another request."""

    def __init__(self, decision_id: bytes) -> None:
        super().__init__(decision_id)
        self.decision_id = decision_id
        """The decision that answered the first request, 16 bytes."""

    def __str__(self) -> str:
        return (
            f"this request id was used for another request, which decision "
            f"{UUID(bytes=self.decision_id)} answered: give every request an id of its own"
        )


class Overtaken(DecisionLogError):
    """What the choice was made from is not true any more; nothing was stored: choose again."""

    def __init__(self, decision_id: bytes) -> None:
        super().__init__(decision_id)
        self.decision_id = decision_id

    def __str__(self) -> str:
        return f"decision {UUID(bytes=self.decision_id)} came too late: choose again"


class ContactRefused(Overtaken):
    """The decision was not admitted as it is."""

    def __str__(self) -> str:
        return (
            f"decision {UUID(bytes=self.decision_id)} cannot be stored as it is: another one was "
            "faster and changed what there is to choose from; choose again"
        )


class SubjectErased(Overtaken):
    """The subject was erased while the decision was made."""

    def __str__(self) -> str:
        return (
            f"the subject of decision {UUID(bytes=self.decision_id)} was erased while it was made: "
            "decide again from what is known now"
        )


class AdmissionFailed(DecisionLogError):
    """Asking whether a decision may be stored failed, or making it anew; it was not stored."""

    def __init__(self, decision_id: bytes) -> None:
        super().__init__(decision_id)
        self.decision_id = decision_id

    def __str__(self) -> str:
        return (
            f"whether decision {UUID(bytes=self.decision_id)} may be stored, or what takes its "
            "place, could not be found out: the cause of this error says why"
        )


class DeliveryIdReused(DecisionLogError):
    """A delivery id came back with another report on the same decision."""

    def __init__(self, decision_id: bytes, delivery_id: str) -> None:
        super().__init__(decision_id, delivery_id)
        self.decision_id = decision_id
        self.delivery_id = delivery_id

    def __str__(self) -> str:
        return (
            f"delivery id {self.delivery_id!r} was used for another report on decision "
            f"{UUID(bytes=self.decision_id)}: give every report an id of its own"
        )


class RewardIdReused(DecisionLogError):
    """A reward id came back with another reward of the same decision."""

    def __init__(self, decision_id: bytes, reward_id: str) -> None:
        super().__init__(decision_id, reward_id)
        self.decision_id = decision_id
        self.reward_id = reward_id

    def __str__(self) -> str:
        return (
            f"reward id {self.reward_id!r} was used for another reward of decision "
            f"{UUID(bytes=self.decision_id)}: give every reward an id of its own"
        )


class DamagedRecord(DecisionLogError):
    """What was read is not what was written."""

    def __init__(self, table: str, key: bytes, problem: str) -> None:
        super().__init__(table, key, problem)
        self.table = table
        self.key = key
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"the record {self.key.hex()} of table {self.table} is damaged ({self.problem}): "
            "check the disk and restore the log from a backup"
        )


class LogFull(DecisionLogError):
    """There is no room left; nothing was written."""

    def __init__(self, directory: Path, problem: str) -> None:
        super().__init__(directory, problem)
        self.directory = directory
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"the log in {self.directory} has no room left ({self.problem}): nothing was stored; "
            "free disk space or open it with a larger map"
        )


class LogUnavailable(DecisionLogError):
    """The log cannot be read or written now; nothing was written."""

    def __init__(self, directory: Path, problem: str) -> None:
        super().__init__(directory, problem)
        self.directory = directory
        self.problem = problem

    def __str__(self) -> str:
        return f"the log in {self.directory} is not available: {self.problem}"


class LogMissing(LogUnavailable):
    """There is no log in the directory."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "there is none; start the server on it first")
        self.args = (directory,)


class LogClosed(LogUnavailable):
    """The log was closed by its owner."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "it is closed; open it again")
        self.args = (directory,)


class LogReadOnly(DecisionLogError):
    """A write was asked of a log that was opened for reading."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory

    def __str__(self) -> str:
        return f"the log in {self.directory} was opened for reading only: open it for writing"


class LogDamaged(DecisionLogError):
    """The file itself is broken, not a single record."""

    def __init__(self, directory: Path, problem: str) -> None:
        super().__init__(directory, problem)
        self.directory = directory
        self.problem = problem

    def __str__(self) -> str:
        return (
            f"the file of the log in {self.directory} is damaged ({self.problem}): "
            "check the disk and restore the log from a backup"
        )


class UnknownSchema(DecisionLogError):
    """The log was written by another version of this program."""

    def __init__(self, directory: Path, found: int | None, supported: int) -> None:
        super().__init__(directory, found, supported)
        self.directory = directory
        self.found = found
        """None if the file says nothing of a schema."""
        self.supported = supported

    def __str__(self) -> str:
        found = "no schema at all" if self.found is None else f"schema {self.found}"
        is_older = self.found is not None and 0 < self.found < self.supported
        help_ = (
            "stop the server, copy the data directory, and run sendwise migrate"
            if is_older
            else "use the version of the program that wrote it"
        )
        return (
            f"the log in {self.directory} has {found}, this program reads schema "
            f"{self.supported}: {help_}"
        )


class KeyFileError(DecisionLogError):
    """The key file cannot be used."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"the key file {self.path} cannot be used: {self.problem}"


class TombstoneFileError(DecisionLogError):
    """The file of tombstones cannot be used: without it erased subjects could come back."""

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(path, line, problem)
        self.path = path
        self.line = line
        """From 1; 0 for the file as a whole."""
        self.problem = problem

    def __str__(self) -> str:
        what = f"line {self.line} of the tombstones" if self.line else "the tombstones"
        return (
            f"{what} {self.path} cannot be used ({self.problem}): "
            "give the file that the log's own directory had, unchanged"
        )


class DirectoryTaken(DecisionLogError):
    """A directory that is to be filled has something in it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory

    def __str__(self) -> str:
        return f"{self.directory} is not empty: name a directory that is, or that is not there"


class BackupInside(DecisionLogError):
    """A backup is to be made in the directory that is backed up: each would hold those before."""

    def __init__(self, target: Path, directory: Path) -> None:
        super().__init__(target, directory)
        self.target = target
        self.directory = directory

    def __str__(self) -> str:
        return f"{self.target} lies in {self.directory}: name a directory outside"


class BackupDamaged(DecisionLogError):
    """A backup is not what was backed up; nothing was restored."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(path, problem)
        self.path = path
        self.problem = problem

    def __str__(self) -> str:
        return f"{self.path} of the backup cannot be used ({self.problem}): use another backup"


class KeyRequired(DecisionLogError):
    """A new log cannot be begun without a key."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory

    def __str__(self) -> str:
        return f"a new log in {self.directory} needs a key: give the key file"


class RecordKeyMissing(DecisionLogError):
    """The log is encrypted under a key that the key ring does not have."""

    def __init__(self, key_id: bytes) -> None:
        super().__init__(key_id)
        self.key_id = key_id
        """8 bytes that name the key."""

    def __str__(self) -> str:
        return (
            f"records are encrypted under the key {self.key_id.hex()}, which the key ring does not "
            "have: give the ring with --key-ring or SENDWISE_KEY_RING, or restore it from its "
            "backup"
        )


class NoRecordKey(DecisionLogError):
    """Records were to be sealed, and there is no key to seal them under."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory

    def __str__(self) -> str:
        return (
            f"the log in {self.directory} is not encrypted and there is no key ring: "
            "sendwise rekey --new-key makes one"
        )


class WrongKey(DecisionLogError):
    """The key is not the one that the log was written with."""

    def __init__(self, directory: Path, found: bytes, expected: bytes) -> None:
        super().__init__(directory, found, expected)
        self.directory = directory
        self.found = found
        """Fingerprint of the key that was given."""
        self.expected = expected
        """Fingerprint of the log's key."""

    def __str__(self) -> str:
        return (
            f"the log in {self.directory} was written with the key {self.expected.hex()}, "
            f"not with {self.found.hex()}: give the key file that it was begun with"
        )
