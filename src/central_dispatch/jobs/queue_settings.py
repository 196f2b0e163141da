"""A queue's settings: read at the moment they matter, so a change works at once and on every broker."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueSettings:
    """All that can be changed while everything runs. Times in seconds."""

    max_attempts: int = 3
    retry_delay_s: float = 10.0
    backoff: Literal["fixed", "exponential"] = "exponential"
    max_retry_delay_s: float = 3600.0
    deferral_delay_s: float = 5.0
    max_deferrals: int = 1000  # in a row; then the job is in error and says so
    period_s: float | None = None  # for scheduled kinds
    time_limit_s: float = 3600.0
    grace_s: float = 10.0  # between asking a job to stop and killing its tree
    concurrency: int | None = None  # over all workers; None: no limit
    retention_h: float = 96.0  # of dead letters
    paused: bool = False

    def problems(self) -> list[tuple[str, str]]:
        """Return (field, what is allowed) for each value out of bounds."""
        bounds: dict[str, tuple[float, float]] = {
            "max_attempts": (1, 1000),
            "retry_delay_s": (0, 7 * 86_400),
            "max_retry_delay_s": (0, 30 * 86_400),
            "deferral_delay_s": (0.1, 86_400),
            "max_deferrals": (0, 1_000_000),
            "time_limit_s": (1, 30 * 86_400),
            "grace_s": (0, 3600),
            "retention_h": (1, 24 * 365),
        }
        found = [
            (name, f"use a number from {low:g} to {high:g}")
            for name, (low, high) in bounds.items()
            if not low <= getattr(self, name) <= high
        ]
        if self.concurrency is not None and not 1 <= self.concurrency <= 10_000:  # noqa: PLR2004 said right here
            found.append(("concurrency", "use a number from 1 to 10000, or nothing for no limit"))
        if self.period_s is not None and not 1 <= self.period_s <= 366 * 86_400:
            found.append(("period_s", "use a number from 1 to 31622400, or nothing for no schedule"))
        return found
