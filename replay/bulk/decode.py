"""Turns the rows of a slice into columns; what is unusual goes through the codec, row by row."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from decisionlog import (
    Contact,
    DamagedRecord,
    Decision,
    Delivery,
    DeliveryStatus,
    Reservation,
    Reward,
)
from decisionlog.bulk import Rows
from decisionlog.codec import decode_decision, decode_delivery, decode_reward
from decisionlog.contact_codec import decode_reservation
from decisionlog.scan import OnDamage
from decisionlog.tables import ID_BYTES
from replay.bulk.kernels import (
    DECISION,
    REPORT,
    RESERVATION,
    Bytes,
    Ints,
    Table,
    read_decisions,
    read_deliveries,
    read_ids,
    read_reservations,
    read_rewards,
)
from replay.join import is_not_to_send

HOLDS: Final = ("open", "confirmed", "released")
"""What becomes of contacts, by their numbers."""

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions column by column, in the order of their ids."""

    ids: Bytes
    """Joined, 16 bytes each."""
    sends: NDArray[np.bool_]
    """Whether something is to be sent, so that a report is waited for."""

    @property
    def decided_at_ms(self) -> NDArray[np.float64]:
        """Unix times of the decisions, from their ids."""
        parts = self.ids.reshape(-1, ID_BYTES)[:, :6].astype(np.int64)
        return (parts @ (1 << np.arange(40, -1, -8, dtype=np.int64))).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Reports:
    """Deliveries or rewards column by column, in the order of their keys."""

    ids: Bytes
    """Of their decisions, joined, 16 bytes each."""
    rows: Table
    """`kernels.REPORT`."""
    source: Ints
    """Place of each among the rows that were read."""


class _Values:
    """Stored values of a slice."""

    def __init__(self, rows: Rows, dtype: "np.dtype[np.void]") -> None:
        sizes = np.array(rows.sizes, np.int64)
        self.buffer = np.frombuffer(rows.data, np.uint8)
        self.bounds = np.cumsum(sizes)
        self.ids = np.zeros(len(rows) * ID_BYTES, np.uint8)
        read_ids(self.buffer, self.bounds, sizes, self.ids)
        self.out: Table = np.zeros(len(rows), dtype)
        self.kept = np.ones(len(rows), np.bool_)

    def plainly(
        self,
        rows: Rows,
        decode: Callable[[bytes, bytes], _Record],
        fill: Callable[[int, _Record], None],
        on_damage: OnDamage,
    ) -> None:
        """Lets the codec read what the kernels did not; what is damaged is left out."""
        for row in np.flatnonzero(~self.out["ok"]).tolist():
            try:
                fill(row, decode(*rows[row]))
            except DamagedRecord as damage:
                on_damage(damage)
                self.kept[row] = False

    def kept_ids(self) -> Bytes:
        """Ids of the rows that were kept, joined."""
        return self.ids if self.kept.all() else self.ids.reshape(-1, ID_BYTES)[self.kept].ravel()


def decisions(rows: Rows, on_damage: OnDamage) -> Decisions:
    """Decodes decisions.

    Args:
        rows: of the table.
        on_damage: told of each damaged record, which is then left out.
    """
    values = _Values(rows, DECISION)
    read_decisions(values.buffer, values.bounds, values.ids, values.out)

    def fill(row: int, decision: Decision) -> None:
        values.out[row]["sends"] = not is_not_to_send(decision)

    values.plainly(rows, decode_decision, fill, on_damage)
    return Decisions(values.kept_ids(), values.out["sends"][values.kept])


def deliveries(rows: Rows, on_damage: OnDamage) -> Reports:
    """Decodes deliveries; arguments as those of `decisions`."""
    values = _Values(rows, REPORT)
    read_deliveries(values.buffer, values.bounds, values.ids, values.out)

    def fill(row: int, delivery: Delivery) -> None:
        values.out[row]["status"] = delivery.status
        values.out[row]["occurred_at_ms"] = delivery.occurred_at_ms
        values.out[row]["received_at_ms"] = delivery.received_at_ms

    values.plainly(rows, decode_delivery, fill, on_damage)
    return _reports(values)


def rewards(rows: Rows, on_damage: OnDamage) -> Reports:
    """Decodes rewards; arguments as those of `decisions`."""
    values = _Values(rows, REPORT)
    read_rewards(values.buffer, values.bounds, values.ids, values.out)

    def fill(row: int, reward: Reward) -> None:
        values.out[row]["occurred_at_ms"] = reward.occurred_at_ms

    values.plainly(rows, decode_reward, fill, on_damage)
    return _reports(values)


def holds(rows: Rows, on_damage: OnDamage) -> Ints:
    """Decodes reservations.

    Args:
        rows: of the table.
        on_damage: told of each damaged record, which is then left out.

    Returns:
        For each that reserved a contact what became of it, by `HOLDS`.
    """
    values = _Values(rows, RESERVATION)
    out = values.out
    read_reservations(values.buffer, values.bounds, values.ids, out)
    known = np.where(out["ok"], out["status"], 0)
    found = _HOLD_OF[known, out["confirmed"].astype(np.int64)]

    def fill(row: int, reservation: Reservation) -> None:
        out[row]["has_contact"] = reservation.contact is not None
        found[row] = HOLDS.index(hold(reservation))

    values.plainly(rows, decode_reservation, fill, on_damage)
    counted: Ints = found[values.kept & out["has_contact"]]
    return counted


def hold(reservation: Reservation) -> str:
    """What became of a contact that was reserved, one of `HOLDS`."""
    contact = reservation.in_force
    if contact is None:
        return "released"
    return "confirmed" if contact.confirmed else "open"


def _hold_of(status: int, *, confirmed: bool) -> int:
    """The place of what becomes of any contact with such a report; 0 is none."""
    some = bytes(ID_BYTES)
    report = Delivery(some, "", DeliveryStatus(status), 0, 0) if status else None
    contact = Contact(some, "", "", 0, confirmed=confirmed)
    return HOLDS.index(hold(Reservation(some, some, contact, report)))


_HOLD_OF: Final = np.array(
    [
        [_hold_of(status, confirmed=confirmed) for confirmed in (False, True)]
        for status in (0, *sorted(DeliveryStatus))
    ]
)


def _reports(values: _Values) -> Reports:
    kept = values.kept
    return Reports(values.kept_ids(), values.out[kept], np.flatnonzero(kept))
