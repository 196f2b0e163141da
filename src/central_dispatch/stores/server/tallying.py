"""Adds up what ended in each minute, in the transaction that settles it."""

from collections.abc import Sequence

from central_dispatch.stores.ended import Ended, added_up
from central_dispatch.stores.server.session import Session

_ADD = """
INSERT INTO job_tally (minute, queue, outcome, parent, executions, run_ms) VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (minute, queue, outcome, parent) DO UPDATE SET
    executions = job_tally.executions + excluded.executions, run_ms = job_tally.run_ms + excluded.run_ms"""


def tally(session: Session, ended: Sequence[Ended]) -> None:
    """Add executions to the minutes in which they ended. A parent's rows are its own: no two writers meet."""
    session.many(_ADD, [(one.minute, *one.key, one.executions, one.run_ms) for one in added_up(ended)])
