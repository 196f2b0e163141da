"""Adds up what ended in each minute, in the transaction that settles it."""

import sqlite3
from collections.abc import Sequence

from central_dispatch.stores.ended import Ended, added_up
from central_dispatch.stores.sqlite.times import to_text

_ADD = """
INSERT INTO job_tally (minute, queue, outcome, parent, executions, run_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (minute, queue, outcome, parent)
DO UPDATE SET executions = executions + excluded.executions, run_ms = run_ms + excluded.run_ms"""


def tally(connection: sqlite3.Connection, ended: Sequence[Ended]) -> None:
    """Add executions to the minutes in which they ended."""
    rows = [(to_text(one.minute), *one.key, one.executions, one.run_ms) for one in added_up(ended)]
    connection.executemany(_ADD, rows)
