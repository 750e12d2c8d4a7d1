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
from replay.bulk.texts import Texts
from replay.join import has_support

NO_OFFER: Final = -1
HOLDS: Final = ("open", "confirmed", "released")
"""What becomes of contacts, by their numbers."""

_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions column by column, in the order of their ids."""

    ids: Bytes
    """Joined, 16 bytes each."""
    subjects: Bytes
    """One row of 16 bytes each."""
    arm: Ints
    policy: Ints
    """Numbers of the policies' versions."""
    offer: Ints
    """Numbers of the chosen offers, `NO_OFFER` where nothing could be chosen."""
    stages: Ints
    """How many stages there were; 0 where nothing could be chosen."""
    probability: NDArray[np.float64]
    """Of the action."""
    support: NDArray[np.bool_]
    """Whether every eligible action had a chance."""

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
    name: Ints
    """Numbers of the rewards' names."""
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

    def numbers(self, texts: Texts, text: str, where: NDArray[np.bool_]) -> Ints:
        """Numbers of a text that the kernels found in some of the rows."""
        found = np.zeros(len(self.out), np.int64)
        starts, sizes = self.out[f"{text}_at"][where], self.out[f"{text}_size"][where]
        try:
            found[where] = texts.numbers(self.buffer, starts, sizes)
        except UnicodeDecodeError:
            self.out["ok"] = False  # the codec says which of them it is
        return found

    def kept_ids(self) -> Bytes:
        """Ids of the rows that were kept, joined."""
        return self.ids if self.kept.all() else self.ids.reshape(-1, ID_BYTES)[self.kept].ravel()


def decisions(rows: Rows, policies: Texts, offers: Texts, on_damage: OnDamage) -> Decisions:
    """Decodes decisions.

    Args:
        rows: of the table.
        policies: numbers the policies' versions.
        offers: numbers the offers.
        on_damage: told of each damaged record, which is then left out.
    """
    values = _Values(rows, DECISION)
    out = values.out
    read_decisions(values.buffer, values.bounds, values.ids, out)
    policy = values.numbers(policies, "policy", out["ok"])
    offer = values.numbers(offers, "offer", out["ok"] & (out["stages"] > 0))
    subjects = _gathered(values.buffer, out["subject_at"])

    def fill(row: int, decision: Decision) -> None:
        out[row]["arm"] = decision.arm
        out[row]["stages"] = len(decision.stages)
        out[row]["support"] = has_support(decision)
        out[row]["probability"] = decision.action_probability
        subjects[row] = np.frombuffer(decision.subject, np.uint8)
        policy[row] = policies.number(decision.policy_version)
        if decision.stages:
            offer[row] = offers.number(decision.tree[decision.stages[0].chosen][0])

    values.plainly(rows, decode_decision, fill, on_damage)
    offer[out["stages"] == 0] = NO_OFFER
    kept, out = values.kept, out[values.kept]
    return Decisions(
        ids=values.kept_ids(),
        subjects=subjects[kept],
        arm=out["arm"],
        policy=policy[kept],
        offer=offer[kept],
        stages=out["stages"],
        probability=out["probability"],
        support=out["support"],
    )


def deliveries(rows: Rows, on_damage: OnDamage) -> Reports:
    """Decodes deliveries; arguments as those of `decisions`."""
    values = _Values(rows, REPORT)
    read_deliveries(values.buffer, values.bounds, values.ids, values.out)

    def fill(row: int, delivery: Delivery) -> None:
        values.out[row]["status"] = delivery.status
        values.out[row]["occurred_at_ms"] = delivery.occurred_at_ms
        values.out[row]["received_at_ms"] = delivery.received_at_ms

    values.plainly(rows, decode_delivery, fill, on_damage)
    return _reports(values, np.zeros(len(rows), np.int64))


def rewards(rows: Rows, names: Texts, on_damage: OnDamage) -> Reports:
    """Decodes rewards; arguments as those of `decisions`."""
    values = _Values(rows, REPORT)
    read_rewards(values.buffer, values.bounds, values.ids, values.out)
    name = values.numbers(names, "name", values.out["ok"])

    def fill(row: int, reward: Reward) -> None:
        values.out[row]["value"] = reward.value
        values.out[row]["occurred_at_ms"] = reward.occurred_at_ms
        values.out[row]["received_at_ms"] = reward.received_at_ms
        name[row] = names.number(reward.name)

    values.plainly(rows, decode_reward, fill, on_damage)
    return _reports(values, name)


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


def _reports(values: _Values, name: Ints) -> Reports:
    kept = values.kept
    return Reports(values.kept_ids(), values.out[kept], name[kept], np.flatnonzero(kept))


def _gathered(buffer: Bytes, starts: Ints) -> Bytes:
    """A row of 16 bytes from each start."""
    places = np.minimum(starts, max(0, len(buffer) - ID_BYTES))[:, None] + np.arange(ID_BYTES)
    found: Bytes = (
        buffer.take(places, mode="clip") if len(buffer) else np.zeros_like(places, np.uint8)
    )
    return found
