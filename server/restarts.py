"""When a worker that died is started again, and when that is given up."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RestartRule:
    """Exponential back-off while a worker keeps dying young."""

    early_seconds: float = 5.0
    """A worker that dies younger than this, or before it was ready, died early."""
    early_deaths_max: int = 5
    """So many early deaths in a row, and it is given up."""
    first_delay_seconds: float = 0.1
    """Pause after the first early death; doubled with each that follows."""
    delay_seconds_max: float = 5.0
    """Longest pause."""


@dataclass(slots=True)
class Restarts:
    """The history of one worker's deaths, as far as the rule needs it."""

    rule: RestartRule = field(default_factory=RestartRule)
    early_deaths: int = 0
    """Early deaths in a row."""

    def died(self, lived_seconds: float, *, was_ready: bool) -> float | None:
        """Takes note of a death.

        Args:
            lived_seconds: Time from the start of the process to its end.
            was_ready: Whether it ever served: one that did not died early, however long it took.

        Returns:
            Seconds to wait before the next start; None if it is to be given up.
        """
        if was_ready and lived_seconds >= self.rule.early_seconds:
            self.early_deaths = 0
            return 0.0
        self.early_deaths += 1
        if self.early_deaths >= self.rule.early_deaths_max:
            return None
        delay = self.rule.first_delay_seconds * 2.0 ** (self.early_deaths - 1)
        return min(delay, self.rule.delay_seconds_max)
