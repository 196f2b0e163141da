"""Notices that a machine's clock was set back, and moves what waits, so that nothing is stranded by it.

Each host is compared with itself alone: the clocks of several differ, and none of them is set back for that. Leases do
not need this (they are counters); only the times until which rows wait do.
"""

import socket
import threading
from datetime import datetime, timedelta

from central_dispatch.stores.server.session import Session, moment

#: Threads, processes and a slewing clock of one machine differ by less than this.
TOLERANCE = timedelta(seconds=2)
#: The latest time is written down only when it moved this far.
STEP = timedelta(seconds=1)
_NOTE = """
INSERT INTO job_clock (host, clock_at) VALUES (%s, %s)
ON CONFLICT (host) DO UPDATE SET clock_at = excluded.clock_at"""


class Clock:
    """This host's clock, as this process saw it last: the table is asked only when that says too little."""

    def __init__(self) -> None:
        self._host = socket.gethostname()[:255]
        self._noted: datetime | None = None
        self._lock = threading.Lock()

    def is_due(self, now: datetime) -> bool:
        """Say whether the time is to be noted, or may have been set back."""
        return self._noted is None or not timedelta(0) <= now - self._noted < STEP

    def note(self, session: Session, now: datetime) -> None:
        """Write down the time, in a transaction of its own; after a step back move the waiting rows by as much.

        One statement over all rows, as often as somebody sets the clock back: it may take longer than others.
        """
        row = session.one("SELECT clock_at FROM job_clock WHERE host = %s FOR UPDATE", self._host)
        before = moment(row[0]) if row else None
        if before is not None and before - now > TOLERANCE:
            # What was due stays due and a delay keeps its length; a new job's own date keeps the date.
            session.run(
                f"UPDATE job SET due_at = {session.dialect.later} "  # noqa: S608 constants
                "WHERE state = 'waiting' AND (waiting_for <> 'new' OR due_at <= %s)",
                (now - before).total_seconds(),
                before + STEP,
            )
        elif before is not None and now - before < STEP:
            return
        session.run(_NOTE, self._host, now)

    def noted(self, now: datetime) -> None:
        """Remember, after the commit, that the time was written down."""
        with self._lock:
            self._noted = now
