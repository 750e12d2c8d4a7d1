"""The log as tables and lines that other programs read."""

from replay.export.days import DayExport, export_days
from replay.export.dsjson import export_dsjson

__all__ = ["DayExport", "export_days", "export_dsjson"]
