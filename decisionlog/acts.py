"""Acts of those who run the service: who did what, and when, in the audit trail of the log."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass

from decisionlog.contact_codec import encode_audit
from decisionlog.contacts import AuditEntry, AuditKind
from decisionlog.drafts import Transaction
from decisionlog.tables import Table


def this_user() -> str:
    """Return the operating system's user that runs this process, as an act's actor."""
    number = os.getuid()
    try:
        return f"user {pwd.getpwuid(number).pw_name}"
    except KeyError:  # in a container a number may have no name
        return f"user {number}"


def new_act(entry_id: bytes, kind: AuditKind, details: Mapping[str, object], by: str) -> AuditEntry:
    """Return an act.

    Args:
        entry_id: 16 bytes that sort by time.
        kind: What was done.
        details: More on it; values become text.
        by: Who did it.
    """
    said = tuple(sorted((name, str(value)) for name, value in details.items()))
    return AuditEntry(entry_id, kind, b"", actor=by, details=said)


@dataclass(frozen=True, slots=True)
class RecordAct:
    """Stores an act."""

    act: AuditEntry

    def __call__(self, draft: Transaction) -> AuditEntry:
        """Write it, and return it."""
        draft.put(Table.AUDIT, self.act.entry_id, encode_audit(self.act))
        return self.act
