"""The log as it was at one moment: reading it again gives the same, whatever comes since."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from decisionlog import Delivery, LoggedDecision, Reward
from decisionlog.ids import lower_bound


def end_of(as_of_ms: int, until: bytes | None) -> bytes:
    """The first id that is not looked at: the given one, or that of the moment after.

    Args:
        as_of_ms: Unix time.
        until: A bound of the caller's, None for none.
    """
    latest = lower_bound(max(as_of_ms, 0) + 1)
    return latest if until is None else min(latest, until)


def known_at(logged: Iterable[LoggedDecision], as_of_ms: int) -> Iterator[LoggedDecision]:
    """Yields decisions with those of their reports that had been received by a moment."""
    for one in logged:
        reports: tuple[Delivery | Reward, ...] = (*one.deliveries, *one.rewards)
        came = [each.received_at_ms for each in reports]
        yield one if max(came, default=as_of_ms) <= as_of_ms else _as_known(one, as_of_ms)


def is_known_at(report: Delivery | Reward, as_of_ms: int) -> bool:
    """Whether a report had been received by a moment."""
    return report.received_at_ms <= as_of_ms


def _as_known(one: LoggedDecision, as_of_ms: int) -> LoggedDecision:
    return replace(
        one,
        deliveries=tuple(each for each in one.deliveries if is_known_at(each, as_of_ms)),
        rewards=tuple(each for each in one.rewards if is_known_at(each, as_of_ms)),
    )
