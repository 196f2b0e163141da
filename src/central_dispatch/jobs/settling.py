"""What becomes of a job after an execution. Pure: time and luck are arguments."""

from datetime import datetime, timedelta

from central_dispatch.jobs.job import MAX_ERROR_CHARACTERS, Claim, Settlement
from central_dispatch.jobs.outcome import Crashed, Deferred, Done, Failed, Outcome, Released, Stopped
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.text import storable

#: Half of an exponential delay is certain, half is luck, so that jobs that failed together come back apart.
_CERTAIN = 0.5


def retry_delay(attempts: int, settings: QueueSettings, luck: float) -> timedelta:
    """Return how long to wait after `attempts` counted executions; `luck` is uniform in 0 … 1."""
    if settings.backoff == "fixed":
        return timedelta(seconds=settings.retry_delay_s)
    # The exponent is bounded before the power, which would overflow a float for a job that is tried for years.
    grown = settings.retry_delay_s * 2.0 ** min(attempts - 1, 60)
    bounded = min(grown, settings.max_retry_delay_s)
    return timedelta(seconds=bounded * (_CERTAIN + (1 - _CERTAIN) * luck))


def settle(claim: Claim, outcome: Outcome, settings: QueueSettings, now: datetime, luck: float) -> Settlement:
    """Return what becomes of the job."""
    match outcome:
        case Done(result):
            return Settlement(state="finished", attempts=claim.attempts + 1, deferrals=0, result=result)
        case Failed(error, retryable):
            return _failed(claim, error, settings, now, luck if retryable else None)
        case Crashed(error):
            return _failed(claim, error, settings, now, luck)
        case Deferred():
            return _deferred(claim, outcome, settings, now)
        case Stopped(by, why):
            return Settlement(
                state="interrupted", attempts=claim.attempts, deferrals=claim.deferrals, error=_cut(why), by=by
            )
        case Released():
            return Settlement(
                state="waiting", attempts=claim.attempts, deferrals=claim.deferrals, waiting_for="new", due_at=now
            )


def _failed(claim: Claim, error: str, settings: QueueSettings, now: datetime, luck: float | None) -> Settlement:
    attempts = claim.attempts + 1
    if luck is not None and attempts < settings.max_attempts:
        due_at = now + retry_delay(attempts, settings, luck)
        return Settlement(
            state="waiting", attempts=attempts, deferrals=0, waiting_for="retry", due_at=due_at, error=_cut(error)
        )
    return _dead(attempts, 0, error, settings, now)


def _deferred(claim: Claim, outcome: Deferred, settings: QueueSettings, now: datetime) -> Settlement:
    deferrals = claim.deferrals + 1
    if deferrals > settings.max_deferrals:
        error = f"deferred {settings.max_deferrals} times in a row: {outcome.why}"
        return _dead(claim.attempts, deferrals, error, settings, now)
    delay_s = settings.deferral_delay_s if outcome.after_s is None else outcome.after_s
    return Settlement(
        state="waiting",
        attempts=claim.attempts,
        deferrals=deferrals,
        waiting_for="deferred",
        due_at=now + timedelta(seconds=delay_s),
        error=_cut(outcome.why),
        waits_on=outcome.waits_on,
    )


def _dead(attempts: int, deferrals: int, error: str, settings: QueueSettings, now: datetime) -> Settlement:
    expires_at = now + timedelta(hours=settings.retention_h)
    return Settlement(
        state="in_error", attempts=attempts, deferrals=deferrals, expires_at=expires_at, error=_cut(error)
    )


def _cut(text: str) -> str:
    return storable(text, MAX_ERROR_CHARACTERS)
