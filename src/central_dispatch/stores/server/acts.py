"""What people do to jobs. Each is a compare-and-set in the caller's transaction; bulk acts take one chunk at a time."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from central_dispatch.stores.server.session import Row, Session, plain

#: Rows of one chunk: some milliseconds, so that parents get their turn in between.
CHUNK = 500

_INTERRUPT = """
UPDATE job SET state = 'interrupted', ended_at = %s, expires_at = NULL, unique_key = NULL, ended_by = %s,
    waits_on = NULL, error = %s
WHERE id IN %s"""
_AGAIN = """
UPDATE job SET state = 'waiting', waiting_for = 'new', attempts = 0, deferrals = 0, due_at = %s, ended_at = NULL,
    waits_on = NULL, expires_at = NULL, ended_by = '', result = '{}', percent = NULL, words = '', unique_key = %s
WHERE id = %s"""


def interrupt(
    session: Session, job: int, by: str, why: str, now: datetime
) -> Literal["interrupted", "asked", "ended", "absent"]:
    """End a waiting job, or ask the parent of a running one to stop it.

    "asked": its state will say what happened. "ended": there was nothing to interrupt any more.
    """
    state = _state(session, job)
    if state == "waiting":
        session.run(_INTERRUPT, now, plain(by), plain(why), [job])
        return "interrupted"
    if state == "running":
        session.run("UPDATE job SET interrupt_by = %s WHERE id = %s", plain(by) or "somebody", job)
        return "asked"
    return "absent" if state is None else "ended"


def cancel(session: Session, job: int, by: str, why: str, now: datetime) -> bool:
    """End a job that waits; False where it does not."""
    if _state(session, job) != "waiting":
        return False
    session.run(_INTERRUPT, now, plain(by), plain(why), [job])
    return True


def retry(
    session: Session, job: int, now: datetime
) -> Literal["waiting", "sooner", "running", "finished", "key held", "absent"]:
    """Have a job that ended badly tried again, with all its attempts; or one that waits for its time, now.

    Its history stays. "key held": another job of its unique key waits or runs.
    """
    row = session.one("SELECT state, queue, given_key FROM job WHERE id = %s FOR UPDATE", job)
    if row is None:
        return "absent"
    state, queue, key = row
    if state == "running":
        return "running"
    if state == "finished":
        return "finished"
    if state == "waiting":
        session.run("UPDATE job SET due_at = least(due_at, %s) WHERE id = %s", now, job)
        return "sooner"
    if key is not None and session.one("SELECT 1 FROM job WHERE queue = %s AND unique_key = %s", queue, key):
        return "key held"
    return "waiting" if _put_back(session, job, key, now) else "key held"


def waiting_in(session: Session, queue: str) -> list[int]:
    """Return the waiting jobs of a queue."""
    return [row[0] for row in session.rows("SELECT id FROM job WHERE queue = %s AND state = 'waiting'", queue)]


def dead_in(session: Session, queue: str) -> list[int]:
    """Return the dead letters of a queue, those first that expire first."""
    select = "SELECT id FROM job WHERE queue = %s AND state = 'in_error' ORDER BY expires_at, id"
    return [row[0] for row in session.rows(select, queue)]


def purge(session: Session, jobs: Sequence[int], by: str, why: str, now: datetime) -> list[int]:
    """End those of these jobs that (still) wait; returns them. `CHUNK` at a time."""
    return _interrupt_all(session, jobs, ["waiting"], by, why, now)


def give_up(session: Session, jobs: Sequence[int], by: str, why: str, now: datetime) -> list[int]:
    """End those of these jobs that wait or are dead letters: they are *interrupted* and no longer in error."""
    return _interrupt_all(session, jobs, ["waiting", "in_error"], by, why, now)


def requeue(session: Session, jobs: Sequence[int], now: datetime) -> list[int]:
    """Have those of these dead letters tried again whose unique key is free; returns them.

    One by one, as two of them may have the same key; those that meanwhile wait or run are left alone.
    """
    ended = {row[0] for row in _locked(session, jobs, ["in_error", "interrupted"])}
    return [job for job in jobs if job in ended and retry(session, job, now) == "waiting"]


def _put_back(session: Session, job: int, key: str | None, now: datetime) -> bool:
    # Somebody may take the key in this very moment: then this alone is undone, not the caller's transaction.
    session.run("SAVEPOINT put_back")
    try:
        session.run(_AGAIN, now, key, job)
    except Exception as error:
        if not session.dialect.is_duplicate(error):
            raise
        session.run("ROLLBACK TO SAVEPOINT put_back")
        return False
    session.run("RELEASE SAVEPOINT put_back")
    return True


def _interrupt_all(
    session: Session, jobs: Sequence[int], states: list[str], by: str, why: str, now: datetime
) -> list[int]:
    chosen = [row[0] for row in _locked(session, jobs, states)]
    if chosen:
        session.run(_INTERRUPT, now, plain(by), plain(why), chosen)
    return chosen


def _locked(session: Session, jobs: Sequence[int], states: list[str]) -> Sequence[Row]:
    return session.rows("SELECT id FROM job WHERE id IN %s AND state IN %s ORDER BY id FOR UPDATE", list(jobs), states)


def _state(session: Session, job: int) -> str | None:
    row = session.one("SELECT state FROM job WHERE id = %s FOR UPDATE", job)
    return row[0] if row else None
