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
