"""What people ask of a log beside the value: rates and revenue, by arm, offer, channel and more."""

from replay.metrics.dimensions import DIMENSIONS, default_segments
from replay.metrics.kinds import Kinds, kinds_of
from replay.metrics.plan import MetricsPlan, measure
from replay.metrics.results import Cell, Group, MetricTable

__all__ = [
    "DIMENSIONS",
    "Cell",
    "Group",
    "Kinds",
    "MetricTable",
    "MetricsPlan",
    "default_segments",
    "kinds_of",
    "measure",
]
