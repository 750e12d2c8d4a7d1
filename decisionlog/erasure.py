"""Removes subjects from every table, in bounded transactions, while others go on writing.

Which decisions are a subject's is found by one pass over the log for all subjects at once, not by
an index: see docs/decisions/0010. Tombstones are written first, so that an erasure that was
stopped half-way is known and can be finished.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from decisionlog.codec import decode_request, decode_subject
from decisionlog.contact_codec import encode_standing
from decisionlog.contacts import Standing
from decisionlog.errors import DamagedRecord
from decisionlog.ids import lower_bound
from decisionlog.operations import is_gone
from decisionlog.removal import ERASED, Removed, note_removed, remove_decision
from decisionlog.scan import row_slices, rows_of
from decisionlog.schema import fingerprint, last_erased_ms, note_erased
from decisionlog.sealing import seal
from decisionlog.standings import read_standing
from decisionlog.store import ReadTransaction, Store, WriteTransaction
from decisionlog.tables import Table
from decisionlog.tombstones import (
    TOMBSTONE_FILE,
    Tombstone,
    append_to_file,
    decode_tombstone,
    encode_tombstone,
    later,
)

GROUP: Final = 64
"""Decisions that one transaction removes: others wait for so many."""

OnProgress = Callable[[int], None]
"""Called with the rows looked at since the last call, of `rows_to_read`."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What one erasure removed of a subject."""

    tombstone: Tombstone
    removed: Removed
    unreadable: int
    """Damaged decisions in the log, of which nobody knows whose they are."""


class _Found(NamedTuple):
    decision_id: bytes
    subject: bytes


def erase(
    store: Store,
    subjects: Collection[bytes],
    erased_at_ms: int,
    on_progress: OnProgress | None = None,
) -> dict[bytes, Erasure]:
    """Remove subjects: all that was stored of them before this call.

    Args:
        store: Open for writing.
        subjects: Pseudonyms, 16 bytes each.
        erased_at_ms: Unix time of the request. Where the clock was set back, the tombstones say a
            later one: their times never fall, so that they tell in which order it was done.
        on_progress: See `OnProgress`.

    Returns:
        By subject, what was removed.

    Raises:
        DecisionLogError: The log cannot be written. What was begun is finished by `finish`.
    """
    with store.write() as transaction:
        before = lower_bound(erased_at_ms + 1)
        through = max(before, _after_last(transaction))
        at_ms = max(erased_at_ms, last_erased_ms(transaction) + 1)
        asked = [Tombstone(each, at_ms, through) for each in sorted(set(subjects))]
        note_erased(transaction, at_ms, before)
        tombstones = _bury(transaction, store, asked)
    return _remove(store, tombstones, on_progress)


def erase_again(
    store: Store, tombstones: Iterable[Tombstone], on_progress: OnProgress | None = None
) -> dict[bytes, Erasure]:
    """Do what tombstones say that this log does not know yet: it was restored from a backup.

    They may come from several files: of a subject's tombstones the one that erases most counts.
    """
    widest: dict[bytes, Tombstone] = {}
    for each in tombstones:
        widest[each.subject] = later(widest.get(each.subject), each)
    with store.write() as transaction:
        missing = [each for each in widest.values() if not _is_done(transaction, each)]
        note_erased(transaction, max((each.erased_at_ms for each in missing), default=0))
        tombstones = _bury(transaction, store, missing)
    return _remove(store, tombstones, on_progress)


def finish(store: Store, on_progress: OnProgress | None = None) -> dict[bytes, Erasure]:
    """Finish the erasures that were stopped half-way."""
    unfinished = [each for each in tombstones(store) if not each.is_complete]
    return _remove(store, unfinished, on_progress)


def tombstones(store: Store) -> list[Tombstone]:
    """Return all tombstones of a log, in the order of the pseudonyms."""
    return list(rows_of(store, Table.TOMBSTONES, decode_tombstone))


def details_of(found: Mapping[bytes, Erasure]) -> dict[str, object]:
    """Return what the audit trail says of erasures: not of whom, which the tombstones tell."""
    decisions = sum(each.removed.decisions for each in found.values())
    return {"subjects": len(found), "decisions": decisions}


def rows_to_read(store: Store) -> int:
    """Return how many rows an erasure looks at, whomever it is of."""
    with store.read() as transaction:
        return transaction.count(Table.DECISIONS) + transaction.count(Table.REQUESTS)


def _after_last(transaction: ReadTransaction) -> bytes:
    """Return the id that comes next: a clock that was set back leaves ids from the future."""
    cursor = transaction.cursor(Table.DECISIONS)
    if not cursor.last():
        return bytes(16)
    return (int.from_bytes(cursor.key(), "big") + 1).to_bytes(16, "big")


def _is_done(transaction: ReadTransaction, tombstone: Tombstone) -> bool:
    value = transaction.get(Table.TOMBSTONES, tombstone.subject)
    if value is None:
        return False
    known = decode_tombstone(tombstone.subject, value)
    return known.is_complete and known.through >= tombstone.through


def _bury(
    transaction: WriteTransaction, store: Store, asked: Sequence[Tombstone]
) -> list[Tombstone]:
    """Write tombstones, and forget what counts for their subjects.

    The file comes last, when all has found room, and before the commit: what a log has erased, no
    copy of it may bring back.
    """
    buried = [_lasting(transaction, each) for each in asked]
    for tombstone in buried:
        transaction.put(Table.TOMBSTONES, tombstone.subject, encode_tombstone(tombstone))
        _forget_standing(transaction, tombstone)
    append_to_file(store.directory / TOMBSTONE_FILE, buried, fingerprint(transaction))
    return buried


def _forget_standing(transaction: WriteTransaction, tombstone: Tombstone) -> None:
    """Let nothing from before count; what comes while the pass below runs counts afresh.

    In a restored log there may be decisions from after the tombstone, which count as they did.
    """
    try:
        standing = read_standing(transaction, tombstone.subject)
    except DamagedRecord:
        standing = Standing()
    _keep(transaction, tombstone.subject, standing, lambda each: each >= tombstone.through)


def _keep(
    transaction: WriteTransaction,
    subject: bytes,
    standing: Standing,
    is_kept: Callable[[bytes], bool],
) -> None:
    """Store what is left of a standing when only some decisions count."""
    left = Standing(
        tuple(each for each in standing.contacts if is_kept(each.decision_id)),
        tuple(each for each in standing.responses if is_kept(each.decision_id)),
    )
    if left == Standing():
        transaction.delete(Table.STANDINGS, subject)
    elif left != standing:
        transaction.put(Table.STANDINGS, subject, encode_standing(subject, left))


def _lasting(transaction: ReadTransaction, tombstone: Tombstone) -> Tombstone:
    """Return a tombstone that erases all that an earlier one of its subject does as well."""
    value = transaction.get(Table.TOMBSTONES, tombstone.subject)
    known = None if value is None else decode_tombstone(tombstone.subject, value)
    through = later(known, tombstone).through
    return replace(tombstone, through=through, is_complete=False)


def _remove(
    store: Store, tombstones: Sequence[Tombstone], on_progress: OnProgress | None
) -> dict[bytes, Erasure]:
    if not tombstones:
        return {}
    advance = on_progress or (lambda _: None)
    gone: defaultdict[bytes, Removed] = defaultdict(Removed)
    unreadable = 0
    through = {each.subject: each.through for each in tombstones}
    for found, damaged in _found(store, through, advance):
        unreadable += damaged
        for start in range(0, len(found), GROUP):
            _remove_group(store, found[start : start + GROUP], gone)
    _forget_requests(store, advance)
    _complete(store, tombstones)
    return {
        each.subject: Erasure(replace(each, is_complete=True), gone[each.subject], unreadable)
        for each in tombstones
    }


def _found(
    store: Store, through: Mapping[bytes, bytes], advance: OnProgress
) -> Iterator[tuple[list[_Found], int]]:
    """Yield slice by slice the decisions to remove, and how many cannot be read."""
    until = max(through.values())
    for rows in row_slices(store, Table.DECISIONS, until=until):
        found, damaged = [], 0
        for key, value in rows:
            try:
                subject = decode_subject(key, value)
            except DamagedRecord:
                damaged += 1
                continue
            if key < through.get(subject, b""):
                found.append(_Found(key, subject))
        advance(len(rows))
        yield found, damaged


def _remove_group(store: Store, found: Sequence[_Found], gone: defaultdict[bytes, Removed]) -> None:
    removed: list[tuple[bytes, Removed]] = []
    with store.write() as transaction:
        for decision_id, subject in found:
            removed.append((subject, remove_decision(transaction, decision_id)))
            transaction.put(Table.ERASED, decision_id, seal(b""))
        note_removed(transaction, ERASED, sum((each for _, each in removed), Removed()))
        for subject in {subject for _, subject in found}:
            _forget_contacts(transaction, subject, {each.decision_id for each in found})
    for subject, each in removed:
        gone[subject] += each


def _forget_contacts(
    transaction: WriteTransaction, subject: bytes, decision_ids: Collection[bytes]
) -> None:
    """Let erased decisions count no more: one may have been stored since the tombstone was."""
    standing = read_standing(transaction, subject)
    _keep(transaction, subject, standing, lambda each: each not in decision_ids)


def _forget_requests(store: Store, advance: OnProgress) -> None:
    """Remove the request ids that erased decisions answered."""
    for rows in row_slices(store, Table.REQUESTS):
        answered = list(_answered(rows))
        with store.read() as transaction:
            get = transaction.get
            erased = [key for key, id_ in answered if get(Table.ERASED, id_) is not None]
        for start in range(0, len(erased), GROUP):
            with store.write() as transaction:
                for key in erased[start : start + GROUP]:
                    _forget_request(transaction, key)
        advance(len(rows))


def _forget_request(transaction: WriteTransaction, key: bytes) -> None:
    """Remove a request id, unless it was given anew since it was looked at."""
    value = transaction.get(Table.REQUESTS, key)
    for _, decision_id in _answered([(key, value)] if value is not None else []):
        if is_gone(transaction, decision_id):
            transaction.delete(Table.REQUESTS, key)


def _answered(rows: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys of requests and the decisions that answered; damaged ones answer nobody."""
    for key, value in rows:
        try:
            yield key, decode_request(key, value)[0]
        except DamagedRecord:
            continue


def _complete(store: Store, tombstones: Iterable[Tombstone]) -> None:
    with store.write() as transaction:
        for tombstone in tombstones:
            value = transaction.get(Table.TOMBSTONES, tombstone.subject)
            # Unless another erasure of the same subject was begun since, which is not done yet.
            if value is not None:
                known = decode_tombstone(tombstone.subject, value)
                if known.through == tombstone.through:
                    done = encode_tombstone(replace(known, is_complete=True))
                    transaction.put(Table.TOMBSTONES, tombstone.subject, done)
