"""Whether a queue worker is well, in one look. Pure: what was seen and the time are arguments."""

from dataclasses import dataclass
from typing import Any, Literal

from central_dispatch.worker.vitals import Vitals

#: The loop turns at least twice a second; a machine under load may be late, in seconds.
TURN_S = 10.0
#: A beat goes out every 5 s; three missed ones and others will soon take the worker's jobs.
BEAT_S = 16.0


@dataclass(frozen=True, slots=True)
class Health:
    """*degraded*: work goes on, slower than it could. *failing*: it does not, or soon will not."""

    status: Literal["ok", "degraded", "failing", "starting", "draining"]
    reasons: tuple[str, ...] = ()

    @property
    def code(self) -> int:
        """The HTTP status: 200 for ok alone."""
        return 200 if self.status == "ok" else 503

    def to_json(self) -> dict[str, Any]:
        """Return what a page shows."""
        return {"status": self.status, "reasons": list(self.reasons)}


def health(vitals: Vitals, broker_problem: str, now: float) -> Health:
    """Judge. `now`: monotonic, in seconds."""
    parts = vitals.parts
    if parts is None:
        return Health("starting", (vitals.waits_for,))
    failing = []
    if (silent := now - parts.loop.turned) > TURN_S:
        failing.append(f"the main loop has not turned for {silent:.0f} s")
    if parts.desk.down:
        failing.append(f"the database is away: {parts.desk.down}")
    if (silent := now - vitals.beaten) > BEAT_S:
        failing.append(f"no beat went through for {silent:.0f} s: other workers take the jobs after 30 s")
    degraded = [f"the broker is away: {broker_problem}; jobs start up to a second later"] if broker_problem else []
    if failing:
        return Health("failing", tuple(failing + degraded))
    if vitals.draining():
        return Health("draining", ("it was told to end, and lets its jobs end",))
    return Health("degraded" if degraded else "ok", tuple(degraded))
