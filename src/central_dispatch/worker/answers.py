"""Outcomes as a child's answer carries them."""

from typing import Any

from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped

NAMES: dict[type, str] = {
    Done: "done",
    Failed: "failed",
    Deferred: "deferred",
    Crashed: "crashed",
    Stopped: "stopped",
    Released: "released",
}


def name_of(outcome: Outcome) -> str:
    """Return the outcome's name for the history."""
    return NAMES[type(outcome)]


def to_json(outcome: Outcome) -> dict[str, Any]:
    """Return an outcome that a handler may give, as it travels."""
    match outcome:
        case Done(result):
            return {"outcome": "done", "result": dict(result)}
        case Failed(error, retryable):
            return {"outcome": "failed", "error": error, "retryable": retryable}
        case Deferred(why, after_s, waits_on):
            return {"outcome": "deferred", "why": why, "after_s": after_s, "waits_on": waits_on}
        case Crashed(error):
            return {"outcome": "crashed", "error": error}
        case Stopped(by, why):
            return {"outcome": "stopped", "by": by, "why": why}
        case Released():
            return {"outcome": "released"}


def from_json(value: dict[str, Any]) -> Outcome:  # noqa: PLR0911 one for each outcome
    """Read an answer; one that makes no sense is a crash."""
    match value:
        case {"outcome": "done", "result": dict(result)}:
            return Done(result)
        case {"outcome": "failed", "error": str(error), "retryable": bool(retryable)}:
            return Failed(error, retryable)
        case {
            "outcome": "deferred",
            "why": str(why),
            "after_s": after_s,
            "waits_on": str() | None as waits_on,
        } if after_s is None or _is_delay(after_s):
            return Deferred(why, after_s, waits_on)
        case {"outcome": "crashed", "error": str(error)}:
            return Crashed(error)
        case {"outcome": "stopped", "by": str(by), "why": str(why)}:
            return Stopped(by, why)
        case {"outcome": "released"}:
            return Released()
        case _:
            return Crashed(f"the child's answer makes no sense: {str(value)[:200]}")


def _is_delay(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 30 * 86_400
