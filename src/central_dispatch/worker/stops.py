"""Why and how a running job is ended, and what its execution then was. Pure: time is an argument."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped

Act = Literal["ask", "terminate", "kill"]


class Reason(IntEnum):
    """Why; the higher one counts where two come together."""

    DRAIN = 1
    TIME_LIMIT = 2
    INTERRUPT = 3
    LOST = 4  # the fence is gone: somebody else has, or will have, the job


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One ending under way. Times are monotonic, in seconds. `done` is how far it has gone."""

    reason: Reason
    terminate_at: float
    kill_at: float
    by: str = ""
    limit_s: float = 0.0
    done: Act = "ask"


def interrupt(by: str, now: float, grace_s: float) -> Stop:
    """Ask now, SIGTERM after half the grace time, SIGKILL for the whole tree after all of it."""
    return Stop(reason=Reason.INTERRUPT, by=by, terminate_at=now + grace_s / 2, kill_at=now + grace_s)


def over_time(limit_s: float, now: float, grace_s: float) -> Stop:
    """End a job that has run for its time limit."""
    return Stop(reason=Reason.TIME_LIMIT, limit_s=limit_s, terminate_at=now + grace_s / 2, kill_at=now + grace_s)


def drain(now: float, grace_s: float) -> Stop:
    """Let a job finish in its grace time; only at the very end it is terminated, then killed."""
    return Stop(reason=Reason.DRAIN, terminate_at=now + 0.9 * grace_s, kill_at=now + grace_s)


def lost(now: float) -> Stop:
    """End a job at once."""
    return Stop(reason=Reason.LOST, terminate_at=now, kill_at=now)


def joined(old: Stop | None, new: Stop) -> Stop:
    """Return what holds when a second reason comes: the weightier reason, and the earlier times."""
    if old is None:
        return new
    first = new if new.reason > old.reason else old
    return replace(
        first,
        terminate_at=min(old.terminate_at, new.terminate_at),
        kill_at=min(old.kill_at, new.kill_at),
        done=old.done,
    )


def due(stop: Stop, now: float) -> Act | None:
    """Return what is to be done now, if anything."""
    if now >= stop.kill_at:
        return "kill" if stop.done != "kill" else None
    if now >= stop.terminate_at and stop.done == "ask":
        return "terminate"
    return None


def verdict(answer: Outcome | None, end: str, stop: Stop | None) -> Outcome:
    """Return what an execution was.

    `answer` is what the handler gave, None where the child ended without one; `end` says how. Work that was
    done is done, whatever was wished meanwhile. What was ended from outside is told from what failed by itself.
    """
    found = answer if answer is not None else Crashed(end)
    if isinstance(found, Done):
        return found
    if stop is None:
        return _unasked(found)
    match stop.reason:
        case Reason.INTERRUPT:
            return Stopped(stop.by, _how(found, stop))
        case Reason.TIME_LIMIT:
            return Crashed(f"ran longer than the time limit of {stop.limit_s:g} s; {_how(found, stop)}")
        case Reason.LOST:
            return Released()
        case Reason.DRAIN:
            return found if isinstance(found, Failed | Crashed | Deferred) and stop.done == "ask" else Released()


def _unasked(found: Outcome) -> Outcome:
    # A handler has no say in whether somebody interrupted it.
    if isinstance(found, Stopped | Released):
        # Taken at its word, Released would come back at once, for ever.
        return Failed(f"the handler answered {type(found).__name__}, and nobody had asked it to stop")
    return found


def _how(found: Outcome, stop: Stop) -> str:
    match stop.done, found:
        case "kill", _:
            return "killed with its whole process tree when the grace time was over"
        case _, Failed(error) | Crashed(error):
            return f"ended when it was told to: {error}"
        case _:
            return "ended by itself when it was asked to"
