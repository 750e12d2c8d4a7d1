"""Catalogs for tests: one with everything, random ones, and pieces to put together."""

import json
from typing import Any

from hypothesis import strategies as st

from policy.catalog import Catalog, parse_catalog

FULL = """\
schema = 1
name = "shop"

[channels.email]
consent = "marketing"
quiet_days = ["sunday"]
features = { rich = true }

[channels.email.quiet_hours]
start = 21:00:00
end = 07:30:00

[channels.push]
quiet_hours = { start = "13:00", end = "14:00" }

[channels.sms]

[offers.spring]
channels = ["email", "push", "sms"]
valid_from = 2026-03-01T00:00:00Z
valid_until = 2026-06-01T00:00:00+02:00

[offers.spring.features]
department = "garden"
price = 19.5
sale = true

[offers.loyal]
channels = ["email"]

[offers.news]
channels = ["push"]
features = { length = 3 }

[no_send]

[send_times]
step_minutes = 60
windows = 24
time_zone = "Europe/Berlin"

[reward]
aggregation = "sum"
attribution_days = 14.0
default = 0.0

[reward.weights]
click = 0.1
order = 1.0

[exploration]
name = "squarecb"
floor = 0.02

[traffic]
random = 0.05
holdout = 0.05
baseline = 0.1

[baseline]
offer = "loyal"
channel = "email"
"""

MINIMAL = """\
schema = 1
name = "x"
[channels.email]
[offers.a]
channels = ["email"]
[reward.weights]
click = 1
"""


def full() -> Catalog:
    """The catalog with everything."""
    return parse_catalog(FULL)


def toml(tables: dict[str, Any]) -> str:
    """A catalog's text from plain values; every table on one line."""
    return "".join(f"{key(name)} = {inline(value)}\n" for name, value in tables.items())


def inline(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, dict):
        pairs = ", ".join(f"{key(name)} = {inline(item)}" for name, item in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(inline, value))}]"
    if isinstance(value, bool | str):
        return json.dumps(value)
    return value.isoformat() if hasattr(value, "isoformat") else repr(value)


def key(name: str) -> str:
    """A key as TOML writes it."""
    return json.dumps(name)


def minimal(**tables: object) -> dict[str, Any]:
    """The values of the smallest catalog, with some tables replaced."""
    base: dict[str, Any] = {
        "schema": 1,
        "name": "x",
        "channels": {"email": {}},
        "offers": {"a": {"channels": ["email"]}},
        "reward": {"weights": {"click": 1}},
    }
    return {**base, **tables}


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"no_send", "none"}
)
