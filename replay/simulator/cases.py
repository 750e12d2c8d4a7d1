"""Situations of all kinds to try a policy in, from a seed: small and large, plain and hostile."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from policy.catalog import Catalog
from policy.eligibility import eligibility
from policy.features import (
    CATEGORY_BYTES_MAX,
    FEATURES_MAX,
    NAME_BYTES_MAX,
    NUMBER_MAX,
    Features,
    FeatureValue,
)
from policy.request import Request
from policy.situation import Situation
from replay.simulator.reference import NOW_MS

HOSTILE = (
    *("|", "a|b c", "|c plan=gold", "x:1", "0:1:1", "shared", "_offer=a", "%7C", "new\nline"),
    *("\t", "\0", "=", "'", '"', "{}", "é", "\u2028", "\ufeff", "🙂", "nan", "None"),
    "x" * min(NAME_BYTES_MAX, CATEGORY_BYTES_MAX),
)
"""Texts that mean something to somebody: to Vowpal Wabbit, to a parser, to an encoding."""
EXTREME = (NUMBER_MAX, -NUMBER_MAX, 1e-300, -0.0, 5e-324, 1 / 3)
HOSTILE_EVERY = 3
"""Each third case has hostile features."""
OFFERS_MAX, CHANNELS_MAX, WINDOWS_MAX = 8, 4, 12
_DAY_MS = 86_400_000


class Case(NamedTuple):
    """A situation in which there is something to choose from."""

    situation: Situation
    hostile: bool
    """Whether its features are hostile: names and values that a caller may send, and no sane one
    would."""


def cases(seed: int, count: int) -> Iterator[Case]:
    """The first cases of a seed; more of them only add to fewer."""
    generator = np.random.default_rng(seed)
    for number in range(count):
        hostile = number % HOSTILE_EVERY == HOSTILE_EVERY - 1
        catalog = _catalog(generator)
        yield Case(eligibility(_request(generator, catalog, hostile), catalog).situation, hostile)


def _catalog(generator: np.random.Generator) -> Catalog:
    """A catalog whose offers differ in channels and features; some have to be one of a kind."""
    channels = [f"channel_{index}" for index in range(generator.integers(1, CHANNELS_MAX + 1))]
    tables: dict[str, Any] = {
        "schema": 1,
        "name": "case",
        "channels": {name: {"features": _plain(generator)} for name in channels},
        "offers": {
            f"offer_{index}": {
                "channels": _some(generator, channels),
                "features": _plain(generator),
            }
            for index in range(generator.integers(1, OFFERS_MAX + 1))
        },
        "send_times": {
            "step_minutes": int(generator.choice([15, 60, 240])),
            "windows": int(generator.integers(1, WINDOWS_MAX + 1)),
        },
        "reward": {"weights": {"click": 1.0}},
    }
    if generator.integers(2):
        tables["no_send"] = {}
    return Catalog.model_validate(tables)


def _request(generator: np.random.Generator, catalog: Catalog, hostile: bool) -> Request:  # noqa: FBT001 - as `Case` has it
    draw = _hostile if hostile else _plain
    return Request(
        NOW_MS + int(generator.integers(7 * _DAY_MS)),
        features=draw(generator),
        offer_features={name: draw(generator) for name in list(catalog.offers)[::2]},
    )


def _plain(generator: np.random.Generator) -> Features:
    return {
        "plan": f"plan_{generator.integers(3)}",
        "age": float(generator.integers(18, 90)),
        "member": bool(generator.integers(2)),
    }


def _hostile(generator: np.random.Generator) -> Features:
    """From no feature at all to as many as there may be."""
    names = [*HOSTILE, *(f"{index} |{index}" for index in range(FEATURES_MAX - len(HOSTILE)))]
    worst: list[FeatureValue] = [*HOSTILE, *EXTREME, True, False]
    size = int(generator.choice([0, 1, 5, FEATURES_MAX]))
    return {name: worst[generator.integers(len(worst))] for name in names[:size]}


def _some(generator: np.random.Generator, names: list[str]) -> tuple[str, ...]:
    size = int(generator.integers(1, len(names) + 1))
    return tuple(names[index] for index in sorted(generator.permutation(len(names))[:size]))
