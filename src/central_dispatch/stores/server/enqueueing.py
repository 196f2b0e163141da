"""Makes jobs, in the caller's transaction."""

import hashlib
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from central_dispatch.jobs.job import NewJob
from central_dispatch.stores.rows import check, payload_text
from central_dispatch.stores.server.session import Session, plain

#: Of one statement: the servers' default limits of a message are 16 MiB and more.
STATEMENT_BYTES = 4 << 20
_MAX_KEY = 255
_COLUMNS = (
    "queue, priority, due_at, payload, payload_version, unique_key, given_key, batch, batch_index, enqueued_by, "
    "created_at"
)
_ROW = "(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
#: What a returned row is told apart by, as only those come back that were made.
_Signature = tuple[str, str | None, int | None, int | None]


def enqueue(session: Session, jobs: Sequence[NewJob], now: datetime) -> list[int | None]:
    """Insert rows; None where a unique key is held or a batch's number was taken before."""
    rows = [_row(job, now) for job in jobs]
    made: list[int | None] = []
    for piece in _pieces(rows):
        made += _insert(session, piece)
    return made


def stored_key(key: str | None) -> str | None:
    """Return a unique key as it is stored: a long one is cut, and told apart by its digest."""
    if key is None:
        return None
    if len(key) <= _MAX_KEY and "\x00" not in key:
        return key
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{plain(key)[: _MAX_KEY - len(digest) - 1]} {digest}"


def _insert(session: Session, rows: Sequence[tuple[Any, ...]]) -> list[int | None]:
    # Both unique indexes are meant, that of the keys and that of the batches; nothing else can be in conflict. On
    # MariaDB the statement would also cut what does not fit: so all of it is bounded before.
    statement = (
        f"INSERT INTO job ({_COLUMNS}) VALUES {', '.join([_ROW] * len(rows))} ON CONFLICT DO NOTHING "  # noqa: S608 constants
        "RETURNING id, queue, unique_key, batch, batch_index"
    )
    places: defaultdict[_Signature, deque[int]] = defaultdict(deque)
    for index, row in enumerate(rows):
        places[row[0], row[5], row[7], row[8]].append(index)
    found = session.rows(statement, *(value for row in rows for value in row))
    made: list[int | None] = [None] * len(rows)
    for number, queue, key, batch, batch_index in found:
        made[places[queue, key, batch, batch_index].popleft()] = number
    return made


def _pieces(rows: Sequence[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    piece: list[tuple[Any, ...]] = []
    size = 0
    for row in rows:
        if piece and (size + len(row[3]) > STATEMENT_BYTES or len(piece) == 500):  # noqa: PLR2004 rows of a statement
            yield piece
            piece, size = [], 0
        piece.append(row)
        size += len(row[3])
    if piece:
        yield piece


def _row(job: NewJob, now: datetime) -> tuple[Any, ...]:
    check(job)
    key = stored_key(job.unique_key)
    return (
        _bounded(job.kind),
        job.priority,
        job.due_at or now,
        payload_text(job),
        job.payload_version,
        key,
        key,
        job.batch,
        job.batch_index,
        plain(job.enqueued_by),
        now,
    )


def _bounded(queue: str) -> str:
    if len(queue) > 100 or "\x00" in queue:  # noqa: PLR2004 said right here
        raise ValueError(f"a queue's name has at most 100 characters, not {len(queue)}")
    return queue
