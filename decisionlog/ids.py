"""Decision ids: UUIDs of version 7, which sort by time and carry the randomness of the draws.

Layout after RFC 9562, section 5.7, with the counter of section 6.2, method 1: 48 bits of Unix time
in ms, version 7, a 12-bit counter, variant 2, 62 bits of entropy.
"""

import re
from collections.abc import Callable
from secrets import randbits
from threading import Lock
from typing import Final
from uuid import UUID

from decisionlog.errors import MalformedDecisionId
from decisionlog.tables import ID_BYTES

ENTROPY_BITS: Final = 62

_COUNTER_BITS: Final = 12
_MAX_COUNTER: Final = (1 << _COUNTER_BITS) - 1
# A counter begins in the lower half, so that at least 2,048 ids fit into every millisecond.
_COUNTER_START_BITS: Final = _COUNTER_BITS - 1
_MAX_ENTROPY: Final = (1 << ENTROPY_BITS) - 1
_VERSION: Final = 7
_VARIANT: Final = 2
_TEXT: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE
)


class DecisionIds:
    """Makes decision ids that never fall and never repeat within a process, from any thread.

    When the clock steps back, or more ids are asked for than a millisecond can hold, ids go on
    counting from the last one and run ahead of the clock.
    """

    def __init__(
        self, clock_ms: Callable[[], int], random_bits: Callable[[int], int] = randbits
    ) -> None:
        self._clock_ms = clock_ms
        self._random_bits = random_bits
        self._lock = Lock()
        self._last_ms = -1
        self._counter = 0

    def new(self, entropy: int | None = None) -> bytes:
        """Return a new id.

        Args:
            entropy: 62 bits on which the draws will depend; from `Keys.request_entropy` if the
                request has an id, so that repeating it draws the same. None: drawn anew.

        Returns:
            16 bytes, larger than every earlier id of this object.

        Raises:
            ValueError: The entropy does not fit into 62 bits.
        """
        if entropy is None:
            entropy = self._random_bits(ENTROPY_BITS)
        elif not 0 <= entropy <= _MAX_ENTROPY:
            raise ValueError(f"entropy takes {ENTROPY_BITS} bits at most")
        time_ms, counter = self._tick()
        high = time_ms << 16 | _VERSION << _COUNTER_BITS | counter
        return (high << 64 | _VARIANT << ENTROPY_BITS | entropy).to_bytes(ID_BYTES, "big")

    def _tick(self) -> tuple[int, int]:
        with self._lock:
            now_ms = self._clock_ms()
            if now_ms > self._last_ms:
                self._start(now_ms)
            elif self._counter < _MAX_COUNTER:
                self._counter += 1
            else:
                self._start(self._last_ms + 1)
            return self._last_ms, self._counter

    def _start(self, time_ms: int) -> None:
        # A random start keeps processes that answer one request in one millisecond apart.
        self._last_ms = time_ms
        self._counter = self._random_bits(_COUNTER_START_BITS)


def to_text(decision_id: bytes) -> str:
    """Return the canonical text of an id, 36 characters."""
    return str(UUID(bytes=decision_id))


def from_text(text: str) -> bytes:
    """Return the 16 bytes of an id in its canonical text, in either case.

    Raises:
        MalformedDecisionId: It is anything else.
    """
    if _TEXT.fullmatch(text) is None:
        raise MalformedDecisionId(text)
    return bytes.fromhex(text.replace("-", ""))


def time_ms(decision_id: bytes) -> int:
    """Return the Unix time of an id in ms."""
    return int.from_bytes(decision_id[:6], "big")


def entropy(decision_id: bytes) -> int:
    """Return the 62 random bits of an id, all that the draws may depend on."""
    return int.from_bytes(decision_id[8:], "big") & _MAX_ENTROPY


def lower_bound(at_ms: int) -> bytes:
    """Return 16 bytes that no id of that time or later is below, as a bound for scans.

    Args:
        at_ms: Unix time in ms.
    """
    return at_ms.to_bytes(6, "big") + bytes(10)
