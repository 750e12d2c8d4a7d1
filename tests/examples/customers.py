"""Customers of an experiment as small as can be, in the file's own form."""

import csv
import io
from collections.abc import Sequence

from examples.hillstrom.data import Customer

COLUMNS = (
    "recency",
    "history_segment",
    "history",
    "mens",
    "womens",
    "zip_code",
    "newbie",
    "channel",
    "segment",
    "visit",
    "conversion",
    "spend",
)
SEGMENTS = ("Mens E-Mail", "Womens E-Mail", "No E-Mail")
ARMS = ("mens", "womens", "no_send")
COUNT = 30


def row(number: int) -> dict[str, str]:
    """One row of the file: every third customer visits, every sixth buys."""
    return {
        "recency": str(number % 12 + 1),
        "history_segment": "2) $100 - $200",
        "history": "142.44",
        "mens": str(number % 2),
        "womens": str(1 - number % 2),
        "zip_code": "Surburban",
        "newbie": "0",
        "channel": "Phone",
        "segment": SEGMENTS[number % 3],
        "visit": str(int(number // 3 % 3 == 0)),
        "conversion": str(int(number // 3 % 6 == 0)),
        "spend": "29.99" if number // 3 % 6 == 0 else "0.0",
    }


def content(count: int = COUNT) -> bytes:
    """The file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(row(number) for number in range(count))
    return text.getvalue().encode()


def truth(customers: Sequence[Customer]) -> dict[str, tuple[int, float, float]]:
    """Customers, and rates of visit and conversion, of each arm."""
    figures = {}
    for arm in ARMS:
        own = [one for one in customers if one.arm == arm]
        visits, buys = (sum(one.visit for one in own), sum(one.conversion for one in own))
        figures[arm] = (len(own), visits / len(own), buys / len(own))
    return figures
