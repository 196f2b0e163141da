"""Adds up what ended in each minute, in the transaction that settles it: the rates and charts of the pages."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from central_dispatch.stores.sqlite.times import to_text

_ADD = """
INSERT INTO job_tally (minute, queue, outcome, parent, executions, run_ms) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (minute, queue, outcome, parent)
DO UPDATE SET executions = executions + excluded.executions, run_ms = run_ms + excluded.run_ms"""


@dataclass(frozen=True, slots=True)
class Ended:
    """One execution, as it is added up."""

    queue: str
    outcome: str
    parent: str
    started_at: datetime
    ended_at: datetime


def tally(connection: sqlite3.Connection, ended: Sequence[Ended]) -> None:
    """Add executions to the minutes in which they ended."""
    executions: Counter[tuple[str, str, str, str]] = Counter()
    run_ms: Counter[tuple[str, str, str, str]] = Counter()
    for one in ended:
        key = (to_text(one.ended_at.replace(second=0, microsecond=0)), one.queue, one.outcome, one.parent)
        executions[key] += 1
        run_ms[key] += max(0, round((one.ended_at - one.started_at).total_seconds() * 1000))
    connection.executemany(_ADD, [(*key, count, run_ms[key]) for key, count in sorted(executions.items())])
