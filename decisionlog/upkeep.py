"""Keeps a log within limits of age and size, step by step, so that it can be done while serving."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from decisionlog import retention
from decisionlog.ids import lower_bound, time_ms
from decisionlog.removal import Removed
from decisionlog.retention import Sweep
from decisionlog.schema import expired_before
from decisionlog.store import Store

DAYS_MAX: Final = 36_500
"""The longest that anything can be told to be kept for."""
DEFAULT_REQUEST_DAYS: Final = 30.0
"""For so long a repeated request gets its first answer again."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a log is kept within; None sets no limit."""

    age_ms: int | None = None
    """Decisions older than this go."""
    size_bytes: int | None = None
    """Where more of the file is in use, the oldest decisions go."""
    request_age_ms: int | None = None
    """Request ids older than this are forgotten."""
    reach_ms: int = 0
    """Decisions younger than this stay whatever the size: rules still look at them."""


@dataclass(slots=True)
class Upkeep:
    """Applies limits to a log; one at a time is enough, several do no harm."""

    store: Store
    limits: Limits
    clock_ms: Callable[[], int]
    """Unix time."""
    _positions: dict[Callable[[Store, bytes, Sweep], bytes | None], bytes] = field(
        default_factory=dict
    )
    """Where sweeps stand."""

    def expire(self) -> Removed | None:
        """Remove one slice of what is too old or too much; None if nothing is."""
        now_ms, limits = self.clock_ms(), self.limits
        gone = None
        if limits.age_ms is not None:
            gone = retention.expire_with_little_room(self.store, _id(now_ms - limits.age_ms))
        if gone is None and self.is_too_large():
            gone = retention.expire_with_little_room(self.store, _id(now_ms - limits.reach_ms))
        return gone

    def is_too_large(self) -> bool:
        """Tell whether more of the file is in use than may be."""
        limit = self.limits.size_bytes
        return limit is not None and retention.used_bytes(self.store) > limit

    def begin_sweep(self) -> None:
        """Begin to look for what refers to decisions that are gone, and for old request ids."""
        self._positions = {retention.sweep_requests: b"", retention.sweep_standings: b""}

    def sweep(self) -> bool:
        """Do one step of the sweep; tell whether there is more to do."""
        bounds = self._bounds()
        for step, position in list(self._positions.items()):
            following = step(self.store, position, bounds)
            if following is None:
                del self._positions[step]
            else:
                self._positions[step] = following
        if self._positions:
            return True
        return retention.forget_budgets(self.store, time_ms(bounds.before)) == retention.SLICE_ROWS

    def rows_to_sweep(self) -> int:
        """Return how many rows a whole sweep looks at."""
        return retention.rows_to_sweep(self.store)

    def _bounds(self) -> Sweep:
        with self.store.read() as transaction:
            before = expired_before(transaction)
        age_ms = self.limits.request_age_ms
        requests = before if age_ms is None else max(before, _id(self.clock_ms() - age_ms))
        return Sweep(before, requests)


def _id(at_ms: int) -> bytes:
    return lower_bound(max(at_ms, 0))
