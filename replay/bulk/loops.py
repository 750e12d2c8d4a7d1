"""Compiled loops that join columns.

They call nothing of other files, since compiled code is kept by the file it comes from.
"""

import numpy as np
from numpy.typing import NDArray

from policy.compiled import compiled
from replay.bulk.kernels import Bytes, Ints

Flags = NDArray[np.bool_]

_ID = 16
_SENT, _OVERRIDDEN = 1, 4  # numbers of `DeliveryStatus`
_SUM, _LAST, _MAX, _MIN = 0, 2, 3, 4  # places in `replay.join.AGGREGATIONS`


@compiled
def _is_same(buffer: Bytes, one: int, other: int, size: int) -> bool:
    for place in range(size):
        if buffer[one + place] != buffer[other + place]:
            return False
    return True


@compiled
def number_texts(buffer: Bytes, starts: Ints, sizes: Ints, numbers: Ints, firsts: Ints) -> int:
    """Numbers texts by their first appearance; returns how many different ones there are.

    Args:
        buffer: holds the texts.
        starts: where each begins.
        sizes: of each in bytes.
        numbers: gets the number of each.
        firsts: gets the row in which each different one appears first.
    """
    count, last = 0, 0
    for row in range(len(starts)):
        found = -1
        for offset in range(count):
            # The one before, then all: mostly there are few, and one follows its like.
            number = last if offset == 0 else (offset - 1 if offset <= last else offset)
            first = firsts[number]
            if sizes[first] == sizes[row] and _is_same(
                buffer, starts[first], starts[row], sizes[row]
            ):
                found = number
                break
        if found < 0:
            found = count
            firsts[count] = row
            count += 1
        numbers[row] = last = found
    return count


@compiled
def find_owners(ids: Bytes, reports: Bytes, owners: Ints) -> None:
    """Finds the decision of each report.

    Args:
        ids: of the decisions, joined, in order.
        reports: ids that reports name, joined, in order.
        owners: gets the place of the decision of each report, -1 if it is not there.
    """
    place, count = 0, len(ids) // _ID
    for row in range(len(owners)):
        owners[row] = -1
        while place < count:
            order = np.int64(0)
            for byte in range(_ID):
                order = np.int64(ids[place * _ID + byte]) - np.int64(reports[row * _ID + byte])
                if order != 0:
                    break
            if order >= 0:
                if order == 0:
                    owners[row] = place
                break
            place += 1


@compiled
def find_deciding(
    owners: Ints, occurred: Ints, received: Ints, status: Ints, deciding: Ints, is_tied: Flags
) -> None:
    """Finds the report that decides about each decision, by `decisionlog.contacts.precedence`.

    Args:
        owners: place of each report's decision; in order.
        occurred: when, Unix time.
        received: when, Unix time.
        status: of the reports.
        deciding: of each decision, -1 to begin with; gets the place of the report.
        is_tied: of each decision, false to begin with; gets whether a report of another status is
            equal to that one in all that is compared here, so that their ids decide.
    """
    for row in range(len(owners)):
        owner = owners[row]
        best = deciding[owner]
        if best < 0:
            deciding[owner] = row
            continue
        order = occurred[row] - occurred[best]
        if order == 0:
            order = received[row] - received[best]
        if order == 0:
            is_sent = status[row] == _SENT or status[row] == _OVERRIDDEN
            was_sent = status[best] == _SENT or status[best] == _OVERRIDDEN
            order = np.int64(is_sent) - np.int64(was_sent)
        if order > 0:
            deciding[owner], is_tied[owner] = row, False
        elif order == 0 and status[row] != status[best]:
            is_tied[owner] = True


@compiled
def add_rewards(
    how: int,
    owners: Ints,
    names: Ints,
    values: NDArray[np.float64],
    weights: NDArray[np.float64],
    totals: NDArray[np.float64],
) -> None:
    """Aggregates each decision's values of a name, and adds them weighted to its total.

    Args:
        how: place in `replay.join.AGGREGATIONS`.
        owners: place of each value's decision; in order.
        names: place of each value's name among the weights; in order within a decision.
        values: in the order of time within a name.
        weights: of the names.
        totals: of the decisions.
    """
    row = 0
    while row < len(values):
        owner, name = owners[row], names[row]
        one = values[row] if how != _SUM else 0.0 + values[row]  # of -0.0 the sum is 0.0
        row += 1
        while row < len(values) and owners[row] == owner and names[row] == name:
            value = values[row]
            if how == _SUM:
                one += value
            elif how == _LAST or (how == _MAX and value > one) or (how == _MIN and value < one):
                one = value
            row += 1
        totals[owner] += weights[name] * one
