"""The log as tables and lines that other programs read."""

from replay.export.days import export_days
from replay.export.dsjson import export_dsjson

__all__ = ["export_days", "export_dsjson"]
