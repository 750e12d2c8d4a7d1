"""Estimators of a policy's value from another policy's log, by the names of the contract."""

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from replay.errors import UnknownEstimatorError
from replay.estimators.balanced_ips import BalancedIps
from replay.estimators.base import (
    AdaptiveEstimator,
    ColumnEstimator,
    Estimator,
    MeanEstimator,
)
from replay.estimators.clipped_dr import ClippedDr
from replay.estimators.clipped_ips import ClippedIps
from replay.estimators.cressie_read import CressieRead
from replay.estimators.dm import Dm
from replay.estimators.dr import Dr
from replay.estimators.dr_os import DrOs
from replay.estimators.ips import Ips
from replay.estimators.mips import Mips
from replay.estimators.mle import Mle
from replay.estimators.mrdr import Mrdr
from replay.estimators.sndr import Sndr
from replay.estimators.snips import Snips
from replay.estimators.stage_dr import StageDr
from replay.estimators.stage_ips import StageIps
from replay.estimators.switch_dr import SwitchDr
from replay.estimators.weighted_ips import WeightedIps

__all__ = [
    "ALL",
    "ESTIMATORS",
    "HEADLINE",
    "AdaptiveEstimator",
    "BalancedIps",
    "ClippedDr",
    "ClippedIps",
    "ColumnEstimator",
    "CressieRead",
    "Dm",
    "Dr",
    "DrOs",
    "Estimator",
    "Ips",
    "MeanEstimator",
    "Mips",
    "Mle",
    "Mrdr",
    "Sndr",
    "Snips",
    "StageDr",
    "StageIps",
    "SwitchDr",
    "WeightedIps",
    "choose_estimators",
    "make_estimators",
]

ESTIMATORS: Mapping[str, type[Estimator]] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Ips,
            ClippedIps,
            Snips,
            Dm,
            Dr,
            ClippedDr,
            Sndr,
            SwitchDr,
            DrOs,
            Mrdr,
            CressieRead,
            Mle,
            BalancedIps,
            WeightedIps,
            StageIps,
            StageDr,
            Mips,
        )
    }
)
"""Every estimator by its name."""

DEFAULT = ("ips", "snips", "dm", "dr")
"""Those that run where none is asked for, if their columns are there."""
HEADLINE = Snips.name
"""What the gate and reports rest on, and what differences of policies are made by."""
ALL = "all"
"""Stands for every estimator whose columns are there."""


def choose_estimators(names: Sequence[str] | None, columns: Collection[str]) -> tuple[str, ...]:
    """Names of the estimators to run.

    Args:
        names: As asked for, `all` among them if it stands for all; None for the usual ones.
        columns: The optional columns that there are: `all` and None leave out who needs others.
    """
    usable = [name for name, kind in ESTIMATORS.items() if set(kind.needs).issubset(columns)]
    if names is None:
        return tuple(name for name in usable if name in DEFAULT)
    chosen = dict.fromkeys(
        name for asked in names for name in (usable if asked == ALL else [asked])
    )
    return tuple(chosen)


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
