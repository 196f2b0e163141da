"""Notices that a machine's clock was set back, and moves what waits, so that nothing is stranded by it.

Each host (and each container, see `pid_space`) is compared with itself alone: the clocks of several differ, and none of
them is set back for that. What moves are all rows that wait for later, those that another host delayed, too: a row does
not say by whose clock it waits, so a delay that came from elsewhere ends early, by as much as this host's clock was set
back. Leases do not need this (they are counters); only the times until which rows wait do.
"""

import threading
from datetime import datetime, timedelta

from central_dispatch.platforms.pid_space import pid_space
from central_dispatch.stores.server.session import Session, moment

#: Threads, processes and a slewing clock of one machine differ by less than this.
TOLERANCE = timedelta(seconds=2)
#: The latest time is written down only when it moved this far.
STEP = timedelta(seconds=1)
#: Rows that one statement moves: each statement has its own limit of time.
ROWS = 2000
# What is due already needs no move, and stays before what becomes due by it.
_LATE = (
    "SELECT id FROM job WHERE state = 'waiting' AND due_at > %s AND (waiting_for <> 'new' OR due_at <= %s) ORDER BY id"
)
_NOTE = """
INSERT INTO job_clock (host, clock_at) VALUES (%s, %s)
ON CONFLICT (host) DO UPDATE SET clock_at = excluded.clock_at"""


class Clock:
    """This host's clock, as this process saw it last: the table is asked only when that says too little."""

    def __init__(self) -> None:
        self._host = pid_space()
        self._noted: datetime | None = None
        self._lock = threading.Lock()

    def is_due(self, now: datetime) -> bool:
        """Say whether the time is to be noted, or may have been set back."""
        return self._noted is None or not timedelta(0) <= now - self._noted < STEP

    def note(self, session: Session, now: datetime) -> None:
        """Write down the time, in a transaction of its own; after a step back move the waiting rows by as much.

        It may take longer than other transactions, as often as somebody sets the clock back.
        """
        row = session.one("SELECT clock_at FROM job_clock WHERE host = %s FOR UPDATE", self._host)
        before = moment(row[0]) if row else None
        if before is not None and before - now > TOLERANCE:
            self._move(session, now, before)
        elif before is not None and now - before < STEP:
            return
        session.run(_NOTE, self._host, now)

    def _move(self, session: Session, now: datetime, before: datetime) -> None:
        # What was due stays due and a delay keeps its length; a new job's own date keeps the date.
        late = [row[0] for row in session.rows(_LATE, now, before + STEP)]
        move = f"UPDATE job SET due_at = greatest({session.dialect.later}, %s) WHERE id IN %s AND state = 'waiting'"  # noqa: S608 constants
        for start in range(0, len(late), ROWS):
            session.run(move, (now - before).total_seconds(), now, late[start : start + ROWS])

    def noted(self, now: datetime) -> None:
        """Remember, after the commit, that the time was written down."""
        with self._lock:
            self._noted = now
