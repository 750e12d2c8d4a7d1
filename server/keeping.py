"""Keeps the log within its limits while it serves, a little at a time."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from decisionlog import DecisionLog, Tombstone, erasure
from decisionlog.upkeep import Limits, Upkeep
from policy.catalog import Catalog
from policy.contact_rules import reach_ms
from server.serving import Current
from server.settings import ServeSettings

TICK_SECONDS = 0.1
"""So often it is looked for something to remove."""
PAUSE_SECONDS = 0.02
"""Between two slices others have the log to themselves for so long."""
SWEEP_SECONDS = 60.0
"""A sweep begins this long after the one before began, at the earliest."""
RETRY_SECONDS = 5.0
"""After a failure it is tried again so much later."""
DAY_MS = 86_400_000

_log = logging.getLogger(__name__)


def limits_of(settings: ServeSettings, catalog: Catalog) -> Limits:
    """What a server's settings say of its log."""
    days = settings.retain_days
    return Limits(
        age_ms=None if days is None else round(days * DAY_MS),
        size_bytes=settings.retain_bytes,
        request_age_ms=round(settings.request_days * DAY_MS),
        reach_ms=reach_ms(catalog),
    )


@contextmanager
def kept(
    log: DecisionLog, settings: ServeSettings, current: Current, clock_ms: Callable[[], int]
) -> Iterator[None]:
    """Keeps a log while the block runs; first finishes the erasures that were stopped half-way."""
    keeper = Keeper(log, settings, current, clock_ms)
    thread = threading.Thread(target=keeper.run, name="keeper", daemon=True)
    thread.start()
    try:
        yield
    finally:
        keeper.stop()
        thread.join()


class Keeper:
    """Applies limits, slice by slice."""

    def __init__(
        self,
        log: DecisionLog,
        settings: ServeSettings,
        current: Current,
        clock_ms: Callable[[], int],
    ) -> None:
        self._log = log
        self._settings = settings
        self._current = current
        self._upkeep = Upkeep(log.store, limits_of(settings, current().catalog), clock_ms)
        self._stop = threading.Event()
        self._swept_at = -SWEEP_SECONDS
        self._is_busy = False
        self._is_sweeping = False
        self._was_too_large = False
        self._unfinished: set[Tombstone] = set()

    def stop(self) -> None:
        """Ends it after the present slice."""
        self._stop.set()

    def run(self) -> None:
        """Keeps the log until stopped; a full disk or a busy log is tried again."""
        self._try(self._finish)
        while not self._stop.wait(PAUSE_SECONDS if self._is_busy else TICK_SECONDS):
            self._try(self.tick)

    def tick(self) -> None:
        """Does one slice of each thing that is to be done."""
        self._log.store.forget_killed_readers()
        self._upkeep.limits = limits_of(self._settings, self._current().catalog)
        self._is_busy = self._upkeep.expire() is not None
        if self._is_busy:
            return  # a sweep may need the room that this makes
        self._warn_if_too_large()
        if not self._is_sweeping and monotonic() - self._swept_at >= SWEEP_SECONDS:
            self._swept_at = monotonic()
            self._finish_stale()
            self._upkeep.begin_sweep()
        self._is_sweeping = self._upkeep.sweep()

    def _finish_stale(self) -> None:
        """Finishes erasures that another worker began, if it has not done so for a whole sweep.

        It may have been killed. If it is still at it, the two do the same, and count it once.
        """
        found = {one for one in erasure.tombstones(self._log.store) if not one.is_complete}
        if found & self._unfinished:
            self._finish()
            found = set()
        self._unfinished = found

    def _finish(self) -> None:
        for found in erasure.finish(self._log.store).values():
            _log.info("finished an erasure: %d records removed", found.removed.total)

    def _warn_if_too_large(self) -> None:
        is_too_large = self._upkeep.is_too_large()
        if is_too_large and not self._was_too_large:
            _log.warning(
                "the log is larger than it may be, but rules still look at all that is in it: "
                "raise --retain-gib"
            )
        self._was_too_large = is_too_large

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:  # noqa: BLE001 - keeping must not end
            _log.exception("the log could not be kept within its limits; trying again")
            self._stop.wait(RETRY_SECONDS)
