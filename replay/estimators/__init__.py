"""Estimators of a policy's value from another policy's log, by the names of the contract."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from replay.errors import UnknownEstimatorError
from replay.estimators.base import ColumnEstimator, Estimator, MeanEstimator
from replay.estimators.dm import Dm
from replay.estimators.dr import Dr
from replay.estimators.ips import Ips
from replay.estimators.sndr import Sndr
from replay.estimators.snips import Snips

__all__ = [
    "ESTIMATORS",
    "ColumnEstimator",
    "Dm",
    "Dr",
    "Estimator",
    "Ips",
    "MeanEstimator",
    "Sndr",
    "Snips",
    "make_estimators",
]

ESTIMATORS: Mapping[str, type[Estimator]] = MappingProxyType(
    {kind.name: kind for kind in (Ips, Snips, Dm, Dr, Sndr)}
)
"""Every estimator by its name."""


def make_estimators(names: Sequence[str]) -> tuple[Estimator, ...]:
    """New estimators in the order of their names.

    Raises:
        UnknownEstimatorError: A name belongs to none.
    """
    return tuple(_kind(name)() for name in names)


def _kind(name: str) -> type[Estimator]:
    if name not in ESTIMATORS:
        raise UnknownEstimatorError(name, tuple(ESTIMATORS))
    return ESTIMATORS[name]
