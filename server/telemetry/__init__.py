"""What the service tells of itself: counts, durations and sampled traces."""

from server.telemetry.interface import Call, Caller, Telemetry
from server.telemetry.null import NULL_TELEMETRY
from server.telemetry.start import TelemetrySettings, start

__all__ = ["NULL_TELEMETRY", "Call", "Caller", "Telemetry", "TelemetrySettings", "start"]
