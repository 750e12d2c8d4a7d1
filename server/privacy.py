"""Erases subjects and hands over what is held of them, for whoever asks at a time."""

import json
from collections.abc import Callable, Iterator
from threading import Lock

from decisionlog import AuditKind, DecisionLog, Keys, erasure
from decisionlog.erasure import Erasure, details_of
from decisionlog.readable import KINDS, readable
from decisionlog.subject_data import held_of
from policy.rollout import Arm

ARMS = {int(arm): arm.name.lower() for arm in Arm}


class Privacy:
    """A subject's rights to its data in one log."""

    def __init__(self, log: DecisionLog, keys: Keys, clock_ms: Callable[[], int]) -> None:
        """Erases nothing yet.

        Args:
            log: open for writing.
            keys: of the log.
            clock_ms: Unix time.
        """
        self._log = log
        self._keys = keys
        self._clock_ms = clock_ms
        self._pass = Lock()
        self._lock = Lock()
        self._waiting: list[_Wish] = []

    def erase(self, subject_id: str, caller: str | None = None) -> Erasure:
        """Erases a subject; all that was stored of it before is gone when this returns.

        An erasure reads the whole log: calls that come while one is under way wait, and then one of
        them makes a pass for all.

        Args:
            subject_id: as in `Decide`.
            caller: for the audit trail.

        Raises:
            DecisionLogError: if the log cannot be written.
        """
        wish = _Wish(self._keys.pseudonym(subject_id))
        with self._lock:
            self._waiting.append(wish)
        with self._pass:
            if wish.erasure is None:
                self._erase_all()
        assert wish.erasure is not None  # noqa: S101 - the pass was for all that waited
        details = details_of({wish.subject: wish.erasure})
        self._log.record_act(AuditKind.ERASE, {"call": "EraseSubject", **details}, by=caller)
        return wish.erasure

    def _erase_all(self) -> None:
        with self._lock:
            wishes, self._waiting = self._waiting, []
        subjects = {wish.subject for wish in wishes}
        try:
            found = erasure.erase(self._log.store, subjects, self._clock_ms())
        except BaseException:
            with self._lock:
                self._waiting += wishes  # the next of them tries again
            raise
        for wish in wishes:
            wish.erasure = found[wish.subject]

    def held(self, subject_id: str, caller: str | None = None) -> Iterator[tuple[str, str]]:
        """Yields the kind and the JSON of all that is held of a subject.

        Raises:
            DecisionLogError: if a record of the subject cannot be read.
        """
        subject = self._keys.pseudonym(subject_id)
        # Not whose data it is: an erasure would have to find that here as well.
        self._log.record_act(AuditKind.EXPORT_SUBJECT, {"call": "ExportSubject"}, by=caller)
        for item in held_of(self._log.store, subject):
            yield KINDS[type(item)], json.dumps(readable(item, ARMS), ensure_ascii=False)


class _Wish:
    """A call that waits for its subject's erasure."""

    def __init__(self, subject: bytes) -> None:
        self.subject = subject
        self.erasure: Erasure | None = None
