"""Notices that the machine's clock was set back, and moves what waits, so that nothing is stranded by it.

Leases do not need this (they are counters); only the times until which rows wait do.
"""

import sqlite3
from datetime import datetime, timedelta

from central_dispatch.stores.sqlite.times import from_text, to_text

#: The clocks that matter are one machine's; threads and a slewing clock differ by less than this.
TOLERANCE = timedelta(seconds=2)
#: The latest time is written down only when it moved this far: it is part of nearly every transaction.
_STEP = timedelta(seconds=1)

# What was due stays due and a delay keeps its length; a new job's own date keeps the date. What is due already needs no
# move, and stays before what becomes due by it.
_SHIFT = """
UPDATE job SET due_at = max(strftime('%Y-%m-%d %H:%M:%f', due_at, :shift) || '000', :now)
WHERE state = 'waiting' AND due_at > :now AND (waiting_for <> 'new' OR due_at <= :clock)"""


def was_set_back(connection: sqlite3.Connection, now: datetime) -> bool:
    """Say whether a later time than `now` was seen before."""
    return _clock(connection) - now > TOLERANCE


def note_clock(connection: sqlite3.Connection, now: datetime) -> None:
    """Write down the time; after a step back move the waiting rows by as much.

    One statement over what waits for later, as often as somebody sets the clock back: it may take longer than others.
    """
    clock = _clock(connection)
    if clock - now > TOLERANCE:
        shift = f"{(now - clock).total_seconds():+.3f} seconds"
        times = {"now": to_text(now), "clock": to_text(clock + _STEP)}
        connection.execute(_SHIFT, {"shift": shift, **times})
    elif now - clock < _STEP:
        return
    connection.execute("UPDATE job_epoch SET clock_at = ?", (to_text(now),))


def _clock(connection: sqlite3.Connection) -> datetime:
    return from_text(connection.execute("SELECT clock_at FROM job_epoch").fetchone()[0])
