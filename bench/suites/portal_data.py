"""A dispatcher's home with many jobs, instances and workers, as a busy year would leave it. Django must be ready."""

import json
import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from central_dispatch.fleet.models import Instance, InstanceHostname, Worker
from central_dispatch.stores.sqlite.times import to_text
from central_dispatch.worker_manager.models import Tally

#: Queues by their share, in percent.
QUEUES = {
    "subdefCreation": 30, "writeMetadatas": 20, "populateIndex": 15, "recordEdit": 10, "webhook": 8, "createRecord": 5,
    "exportMail": 5, "ftp": 3, "mainQueue": 2, "subtitle": 2,
}  # fmt: skip
ERRORS = (
    "ffmpeg exited with status 1: moov atom not found",
    "the FTP server refused the password",
    "time limit of 3600 s is over",
    "Elasticsearch answered 503",
)
WORKER = "f" * 32
BATCH = 7
_COLUMNS = (
    "id", "queue", "state", "waiting_for", "priority", "due_at", "payload", "payload_version", "batch", "batch_index",
    "attempts", "parent", "error", "enqueued_by", "created_at", "started_at", "ended_at", "expires_at",
)  # fmt: skip
_CHUNK = 20_000


def fill(rows: int, instances: int = 500) -> None:
    """Make everything."""
    _jobs(rows)
    _queue_worker()
    _tally()
    _fleet(instances)
    if connection.vendor == "postgresql":
        # Its autovacuum does so by itself, a minute after so many rows came.
        with connection.cursor() as cursor:
            cursor.execute("SET statement_timeout = 0")
            cursor.execute("VACUUM ANALYZE job")


def _job_rows(rows: int) -> Iterator[tuple[Any, ...]]:
    chance = random.Random(1)  # noqa: S311 the same rows each time
    names = [name for name, share in QUEUES.items() for _ in range(share)]
    now = datetime.now(UTC)
    for number in range(1, rows + 1):
        made = now - timedelta(seconds=(rows - number) * 2.6)
        state = _state(number, rows, chance.random())
        started = made + timedelta(seconds=chance.random() * 20)
        ended = started + timedelta(seconds=chance.random() * 8)
        is_over = state not in {"waiting", "running"}
        payload = {"databox": chance.randint(1, 5), "record": chance.randint(1, rows // 4), "subdef": "preview"}
        in_batch = rows * 3 // 10 < number <= rows * 4 // 10
        yield (
            number,
            chance.choice(names),
            state,
            "retry" if state == "waiting" and chance.random() < 0.1 else "new",  # noqa: PLR2004 a tenth
            5 if chance.random() < 0.9 else 7,  # noqa: PLR2004 most
            made + timedelta(seconds=chance.choice((0, 0, 0, 40_000_000)) if state == "waiting" else 0),
            json.dumps(payload),
            1,
            BATCH if in_batch else None,
            number if in_batch else None,
            0 if state == "waiting" else 1,
            WORKER if state == "running" else None,
            f"{chance.choice(ERRORS)} ({number})" if state == "in_error" else "",
            "administrator",
            made,
            None if state == "waiting" else started,
            ended if is_over else None,
            ended + timedelta(hours=96) if state == "in_error" else None,
        )


def _state(number: int, rows: int, chance: float) -> str:
    if number > rows - 40:
        return "running"
    # Waiting ones among the oldest, too: those of a queue that is served last.
    for state, share in (("waiting", 0.05), ("in_error", 0.08), ("interrupted", 0.10)):
        if chance < share:
            return state
    return "finished"


def _jobs(rows: int) -> None:
    """Write the rows without their indexes, which are made again in one go: 20 times as quick."""
    if connection.vendor == "sqlite":
        _jobs_on_sqlite(rows)
    else:
        _jobs_on_postgresql(rows)


def _jobs_on_sqlite(rows: int) -> None:
    connection.ensure_connection()
    raw = connection.connection
    found = raw.execute("SELECT name, sql FROM sqlite_master WHERE tbl_name = 'job' AND type = 'index' AND sql <> ''")
    indexes = dict(found.fetchall())
    raw.execute("PRAGMA synchronous=OFF")
    for name in indexes:
        raw.execute(f"DROP INDEX {name}")
    insert = f"INSERT INTO job ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"  # noqa: S608 constants
    for chunk in _chunks(_job_rows(rows)):
        raw.execute("BEGIN")
        raw.executemany(insert, ([to_text(v) if isinstance(v, datetime) else v for v in row] for row in chunk))
        raw.execute("COMMIT")
    for statement in indexes.values():
        raw.execute(statement)
    raw.execute("PRAGMA synchronous=FULL")


def _jobs_on_postgresql(rows: int) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        cursor.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'job' AND indexname <> 'job_pkey'")
        indexes = dict(cursor.fetchall())
        for name in indexes:
            cursor.execute(f"DROP INDEX {name}")
        with cursor.copy(f"COPY job ({', '.join(_COLUMNS)}) FROM STDIN") as copy:
            for row in _job_rows(rows):
                copy.write_row(row)
        for statement in indexes.values():
            cursor.execute(statement)
        cursor.execute("SELECT setval(pg_get_serial_sequence('job', 'id'), (SELECT max(id) FROM job))")


def _chunks(rows: Iterator[tuple[Any, ...]]) -> Iterator[Sequence[tuple[Any, ...]]]:
    chunk: list[tuple[Any, ...]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    yield chunk


def _queue_worker() -> None:
    now = timezone.now()
    adapt = connection.ops.adapt_datetimefield_value
    values = (WORKER, "web-1", 4321, json.dumps(sorted(QUEUES)), 40, "media", "0.1.0", 1, adapt(now), adapt(now))
    columns = "id, host, pid, queues, slots, assignment, version, count, started_at, beat_at"
    with connection.cursor() as cursor:
        places = ", ".join(["%s"] * len(values))
        cursor.execute(f"INSERT INTO job_parent ({columns}) VALUES ({places})", values)  # noqa: S608 constants
        columns = "id, job, kind, says, source, expected, total, created_by, created_at"
        batch = (BATCH, None, "subdefCreation", "Rebuild previews", "-", 100_000, 100_000, "administrator", adapt(now))
        places = ", ".join(["%s"] * len(batch))
        cursor.execute(f"INSERT INTO job_batch ({columns}) VALUES ({places})", batch)  # noqa: S608 constants


def _tally() -> None:
    """Make the minutes of two days, and the hours of the days before, of two queue workers."""
    chance = random.Random(2)  # noqa: S311 the same rows each time
    now = timezone.now().replace(second=0, microsecond=0)
    minutes = [now - timedelta(minutes=n) for n in range(2 * 24 * 60)]
    hours = [now.replace(minute=0) - timedelta(hours=n) for n in range(49, 90 * 24)]
    rows = [
        Tally(minute=at, queue=queue, outcome=outcome, parent=parent, executions=chance.randint(1, 30), run_ms=900)
        for times, parents in ((minutes, ("a" * 32, WORKER)), (hours, ("",)))
        for at in times
        for queue in QUEUES
        for outcome in ("done", "failed")
        for parent in parents
    ]
    Tally.objects.bulk_create(rows, batch_size=2000)


def _fleet(instances: int) -> None:
    now = timezone.now()
    workers = [
        Worker(
            name=f"web-{n}", created_at=now, last_seen=now, state=Worker.State.ENROLLED, host_url="https://web.example"
        )
        for n in range(10)
    ]
    Worker.objects.bulk_create(workers)
    states = ("active",) * 45 + ("in_error", "stuck", "draft", "suspended", "deploying")
    made = [
        Instance(
            name=f"portal-{n:03}", worker=workers[n % 10], state=states[n % 50], source="curator", release="2.4.0",
            web_root=f"portal-{n:03}", database=f"portal_{n:03}", database_user=f"portal_{n:03}",
            admin_email="admin@example.com", created_by="administrator", created_at=now, changed_at=now,
        )
        for n in range(instances)
    ]  # fmt: skip
    Instance.objects.bulk_create(made)
    InstanceHostname.objects.bulk_create(
        InstanceHostname(instance=one, hostname=f"{one.name}.example.com", position=0) for one in made
    )
