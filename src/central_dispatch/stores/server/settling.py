"""Writes how executions ended, and frees the rows of parents that are gone."""

import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from central_dispatch.jobs.job import Claim, Settlement
from central_dispatch.jobs.ports import Settled
from central_dispatch.stores.ended import Ended
from central_dispatch.stores.rows import after_its_parent, heed, interrupted_of, result_text
from central_dispatch.stores.server import locking
from central_dispatch.stores.server.output import write_output
from central_dispatch.stores.server.queues import Queues
from central_dispatch.stores.server.session import Row, Session, moment_or_none, plain
from central_dispatch.stores.server.tallying import tally

#: Text of one statement: the servers' default limits of a message are 16 MiB and more.
STATEMENT_CHARACTERS = 2 << 20
# In the order of their numbers: two that settle the same ones wait for each other, and do not deadlock.
_HELD = """
SELECT id, fence, interrupt_by, parent FROM job WHERE id IN %s AND state = 'running' ORDER BY id FOR UPDATE"""
_COLUMNS = {
    "id": "int", "state": "text", "waiting_for": "text", "attempts": "int", "deferrals": "int", "due_at": "time",
    "waits_on": "text", "expires_at": "time", "error": "text", "ended_by": "text", "result": "long", "ended_at": "time",
}  # fmt: skip
_SETS = {
    "unique_key": "CASE WHEN v.ended_at IS NULL THEN job.unique_key END",
    "percent": "CASE v.state WHEN 'finished' THEN 100 WHEN 'waiting' THEN NULL ELSE job.percent END",
    "words": "CASE v.state WHEN 'waiting' THEN '' ELSE job.words END",
    "due_at": "coalesce(v.due_at, job.due_at)",
    "parent": "NULL",
    "interrupt_by": "''",
    **{
        name: f"v.{name}"
        for name in (
            "waiting_for", "attempts", "deferrals", "waits_on", "expires_at", "error", "ended_by", "result", "ended_at",
            "state",
        )
    },
}  # fmt: skip
_ATTEMPT = """
INSERT INTO job_attempt (job, fence, parent, host, parent_pid, child_pid, started_at, ended_at, outcome, error,
                         output_bytes)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"""
_ROWS_OF = """
SELECT id, queue, fence, attempts, deferrals, priority, batch, payload_version, interrupt_by, started_at
FROM job WHERE state = 'running' AND parent = %s ORDER BY id FOR UPDATE"""


def settle(session: Session, settled: Sequence[Settled]) -> list[bool]:
    """Write outcomes and history, each only if its fence still holds."""
    held = {row[0]: row for row in session.rows(_HELD, [one.claim.job for one in settled])}
    places = _places(session, {row[3] for row in held.values()})
    updates: list[dict[str, Any]] = []
    attempts: list[tuple[Any, ...]] = []
    written: list[bool] = []
    ended: list[Ended] = []
    for one in settled:
        row = held.get(one.claim.job)
        holds = row is not None and row[1] == one.claim.fence
        written.append(holds)
        if row is not None and holds:
            # Each once: a second report of the same execution in one batch is as late as one in a later batch.
            del held[one.claim.job]
            updates.append(_update_of(one.claim, heed(one.settlement, row[2]), one.ended_at))
            attempts.append(_attempt_of(one, row[3], places.get(row[3], ("", 0))))
            ended.append(Ended(one.claim.kind, one.outcome, row[3], one.started_at, one.ended_at))
    if updates:
        _write(session, updates, attempts)
        tally(session, ended)
        write_output(session, [one for one, holds in zip(settled, written, strict=True) if holds])
        locking.end(session, [update["id"] for update in updates], max(one.ended_at for one in settled))
    return written


def are_written(session: Session, settled: Collection[Settled]) -> set[tuple[int, int]]:
    """Return those whose history has this very report: (job, fence)."""
    by_key = {(one.claim.job, one.claim.fence): one for one in settled}
    rows = session.rows(
        "SELECT job, fence, child_pid, outcome, ended_at FROM job_attempt WHERE job IN %s", [job for job, _ in by_key]
    )
    return {
        (job, fence)
        for job, fence, pid, outcome, ended_at in rows
        if (one := by_key.get((job, fence)))
        and (one.child_pid, one.outcome, one.ended_at) == (pid, outcome, moment_or_none(ended_at))
    }


def free(session: Session, queues: Queues, parent: str, place: tuple[str, int], now: datetime) -> list[int]:
    """Free the rows of a parent that is gone; returns the jobs."""
    error = f"its worker ended without a report (process {place[1]} on {place[0]})"
    updates, attempts, ended = [], [], []
    for row in session.rows(_ROWS_OF, parent):
        claim = _lost_claim(row)
        settings = queues.settings(session, claim.kind)
        settlement = heed(after_its_parent(claim, settings, error, now, random.random()), row[8])  # noqa: S311 spreads retries
        updates.append(_update_of(claim, settlement, now))
        started_at = moment_or_none(row[9])
        attempts.append((claim.job, claim.fence, parent, *place, 0, started_at, now, "crashed", error, 0))
        ended.append(Ended(claim.kind, "crashed", parent, started_at or now, now))
    if updates:
        _write(session, updates, attempts)
        tally(session, ended)
        locking.end(session, [update["id"] for update in updates], now)
    return [update["id"] for update in updates]


def free_all(session: Session, now: datetime) -> list[int]:
    """Put all running jobs back without counting an attempt: after a restore."""
    jobs = [row[0] for row in session.rows("SELECT id FROM job WHERE state = 'running' ORDER BY id FOR UPDATE")]
    if jobs:
        session.run(
            "UPDATE job SET state = 'waiting', waiting_for = 'new', due_at = %s, parent = NULL, interrupt_by = '', "
            "percent = NULL, words = '' WHERE id IN %s",
            now,
            jobs,
        )
    locking.end_all(session, now)
    return jobs


def interruptions(session: Session, claims: Collection[tuple[int, int]]) -> list[tuple[int, str]]:
    """Return (job, by whom) of those that are to be interrupted; by "" for one whose fence is lost."""
    rows = session.rows(
        "SELECT id, fence, interrupt_by FROM job WHERE id IN %s AND state = 'running'", [job for job, _ in claims]
    )
    return interrupted_of(claims, {job: (fence, by) for job, fence, by in rows})


def _places(session: Session, parents: Collection[str]) -> dict[str, tuple[str, int]]:
    if not parents:
        return {}
    rows = session.rows("SELECT id, host, pid FROM job_parent WHERE id IN %s", list(parents))
    return {parent: (host, pid) for parent, host, pid in rows}


def _write(session: Session, updates: Sequence[Mapping[str, Any]], attempts: Sequence[tuple[Any, ...]]) -> None:
    statement = session.dialect.update_from(_SETS, _COLUMNS)
    for piece in _pieces(updates):
        session.run(statement, json.dumps(piece, ensure_ascii=False))
    session.many(_ATTEMPT, attempts)


def _pieces(updates: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    piece: list[Mapping[str, Any]] = []
    size = 0
    for update in updates:
        its = len(update["result"]) + len(update["error"])
        if piece and size + its > STATEMENT_CHARACTERS:
            yield piece
            piece, size = [], 0
        piece.append(update)
        size += its
    if piece:
        yield piece


def _update_of(claim: Claim, settlement: Settlement, ended_at: datetime) -> dict[str, Any]:
    ended = settlement.state != "waiting"
    return {
        "id": claim.job,
        "state": settlement.state,
        "waiting_for": settlement.waiting_for,
        "attempts": settlement.attempts,
        "deferrals": settlement.deferrals,
        "due_at": _text(settlement.due_at),
        "waits_on": None if ended or settlement.waits_on is None else plain(settlement.waits_on)[:200],
        "expires_at": _text(settlement.expires_at),
        "error": plain(settlement.error),
        "ended_by": plain(settlement.by),
        "result": result_text(settlement.result),
        "ended_at": _text(ended_at) if ended else None,
    }


def _text(at: datetime | None) -> str | None:
    """Return a time as both servers read it in a session whose zone is UTC."""
    return at.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds") if at else None


def _attempt_of(one: Settled, parent: str, place: tuple[str, int]) -> tuple[Any, ...]:
    return (
        one.claim.job,
        one.claim.fence,
        parent,
        *place,
        one.child_pid,
        one.started_at,
        one.ended_at,
        one.outcome,
        plain(one.settlement.error),
        len(one.output),
    )


def _lost_claim(row: Row) -> Claim:
    return Claim(
        job=row[0],
        kind=row[1],
        payload={},
        payload_version=row[7],
        fence=row[2],
        attempts=row[3],
        deferrals=row[4],
        priority=row[5],
        batch=row[6],
    )
