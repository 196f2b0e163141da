"""The tables. The portal's migration runs these statements; nothing else describes them.

Times are UTC text as Django writes it (`times.py`), so that pages read the rows with plain models.
"""

# By these jobs are found that are about one record or managed instance: what their payload names so.
_RECORD = "CAST(json_extract(payload, '$.record') AS TEXT)"
_INSTANCE = "CAST(json_extract(payload, '$.instance') AS TEXT)"

TABLES = (
    """
CREATE TABLE job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'finished', 'in_error', 'interrupted')),
    waiting_for TEXT NOT NULL DEFAULT 'new' CHECK (waiting_for IN ('new', 'retry', 'deferred')),
    priority INTEGER NOT NULL CHECK (priority BETWEEN 0 AND 9),
    due_at TEXT NOT NULL,
    waits_on TEXT,
    payload TEXT NOT NULL,
    payload_version INTEGER NOT NULL,
    unique_key TEXT,
    given_key TEXT,
    batch INTEGER,
    batch_index INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    deferrals INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    parent TEXT CHECK ((parent IS NOT NULL) = (state = 'running')),
    interrupt_by TEXT NOT NULL DEFAULT '',
    percent REAL,
    words TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    ended_by TEXT NOT NULL DEFAULT '',
    result TEXT NOT NULL DEFAULT '{}',
    enqueued_by TEXT NOT NULL,
    created_at TEXT NOT NULL,
    started_at TEXT,
    ended_at TEXT,
    expires_at TEXT
)""",
    # For the list of jobs: each of its orders, and the small sets that it looks into, without a walk through all rows.
    # Before those of the engine: of two that would do, SQLite takes the one that was made last.
    "CREATE INDEX job_created ON job (created_at)",
    "CREATE INDEX job_queue_created ON job (queue, created_at)",
    "CREATE INDEX job_started ON job (started_at) WHERE started_at IS NOT NULL",
    "CREATE INDEX job_next ON job (due_at, id, queue, waiting_for) WHERE state = 'waiting'",
    "CREATE INDEX job_failed ON job (created_at) WHERE state = 'in_error'",
    "CREATE INDEX job_queue_failed ON job (queue, created_at) WHERE state = 'in_error'",
    "CREATE INDEX job_expiring ON job (expires_at) WHERE state = 'in_error'",
    "CREATE INDEX job_interrupted ON job (created_at) WHERE state = 'interrupted'",
    "CREATE INDEX job_queue_interrupted ON job (queue, created_at) WHERE state = 'interrupted'",
    "CREATE INDEX job_error ON job (created_at) WHERE error <> ''",
    f"CREATE INDEX job_record ON job ({_RECORD}, created_at) WHERE {_RECORD} IS NOT NULL",
    f"CREATE INDEX job_instance ON job ({_INSTANCE}, created_at) WHERE {_INSTANCE} IS NOT NULL",
    # Partial indexes: what waits and what runs is little beside what has ended, and only that is looked for often.
    "CREATE INDEX job_due ON job (queue, priority DESC, due_at, id) WHERE state = 'waiting'",
    "CREATE INDEX job_running ON job (queue, parent) WHERE state = 'running'",
    "CREATE INDEX job_dead ON job (queue, expires_at) WHERE state = 'in_error'",
    "CREATE INDEX job_ended ON job (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE UNIQUE INDEX job_unique_key ON job (queue, unique_key) WHERE unique_key IS NOT NULL",
    "CREATE UNIQUE INDEX job_batch_index ON job (batch, batch_index) WHERE batch IS NOT NULL",
    "CREATE INDEX job_batch_state ON job (batch, state) WHERE batch IS NOT NULL",
    "CREATE INDEX job_batch_ended ON job (batch, ended_at) WHERE batch IS NOT NULL AND ended_at IS NOT NULL",
    "CREATE INDEX job_waits_on ON job (waits_on) WHERE waits_on IS NOT NULL",
    """
CREATE TABLE job_attempt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    parent TEXT NOT NULL,
    host TEXT NOT NULL,
    parent_pid INTEGER NOT NULL,
    child_pid INTEGER NOT NULL,
    started_at TEXT,
    ended_at TEXT NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT NOT NULL,
    output_bytes INTEGER NOT NULL DEFAULT 0
)""",
    "CREATE UNIQUE INDEX job_attempt_fence ON job_attempt (job, fence)",
    # What ended in each minute, for rates and charts: kept longer than the jobs. A row for each parent, so that no two
    # of them wait for one another; housekeeping folds old minutes into hours.
    """
CREATE TABLE job_tally (
    minute TEXT NOT NULL,
    queue TEXT NOT NULL,
    outcome TEXT NOT NULL,
    parent TEXT NOT NULL,
    executions INTEGER NOT NULL,
    run_ms INTEGER NOT NULL,
    PRIMARY KEY (minute, queue, outcome, parent)
) WITHOUT ROWID""",
    """
CREATE TABLE job_parent (
    id TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    pid_space TEXT NOT NULL DEFAULT '',
    queues TEXT NOT NULL,
    slots INTEGER NOT NULL,
    assignment TEXT NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    count INTEGER NOT NULL DEFAULT 0,
    started_at TEXT NOT NULL,
    beat_at TEXT NOT NULL
)""",
    "CREATE TABLE job_queue (queue TEXT PRIMARY KEY, changes TEXT NOT NULL)",
    # When each queue with a period ran last. Named schedules, with a cron expression, are in the next table.
    "CREATE TABLE job_period (queue TEXT PRIMARY KEY, last_run_at TEXT NOT NULL, last_job INTEGER)",
    """
CREATE TABLE job_schedule (
    name TEXT PRIMARY KEY,
    queue TEXT NOT NULL,
    expression TEXT NOT NULL,
    zone TEXT NOT NULL,
    payload TEXT NOT NULL,
    payload_version INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    is_on INTEGER NOT NULL CHECK (is_on IN (0, 1)),
    next_run_at TEXT,
    last_run_at TEXT,
    last_job INTEGER
)""",
    # What one message was split into. `job`: the mainQueue job that splits it; `source`: what it is made from must not
    # change until all are made; `expected`: how many they will be; `total`: NULL until all are made.
    """
CREATE TABLE job_batch (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    job INTEGER UNIQUE,
    kind TEXT NOT NULL,
    says TEXT NOT NULL,
    source TEXT NOT NULL,
    expected INTEGER NOT NULL,
    total INTEGER,
    created_by TEXT NOT NULL,
    created_at TEXT NOT NULL
)""",
    # A lock is worth what its execution is: rows whose job does not run under that fence any more do not count.
    """
CREATE TABLE job_lock (
    resource TEXT NOT NULL,
    job INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    shared INTEGER NOT NULL CHECK (shared IN (0, 1)),
    taken_at TEXT NOT NULL,
    PRIMARY KEY (resource, job)
) WITHOUT ROWID""",
    "CREATE INDEX job_lock_of ON job_lock (job)",
    # Who was refused a lock under that fence, and stands in line for it since then.
    """
CREATE TABLE job_wish (
    resource TEXT NOT NULL,
    job INTEGER NOT NULL,
    fence INTEGER NOT NULL,
    shared INTEGER NOT NULL CHECK (shared IN (0, 1)),
    since TEXT NOT NULL,
    asked_at TEXT NOT NULL,
    PRIMARY KEY (resource, job)
) WITHOUT ROWID""",
    "CREATE INDEX job_wish_of ON job_wish (job)",
    # What a queue worker of that name does. `queues`: JSON list, empty for all.
    """
CREATE TABLE job_assignment (
    name TEXT PRIMARY KEY,
    queues TEXT NOT NULL,
    slots INTEGER NOT NULL,
    host TEXT NOT NULL,
    changed_at TEXT NOT NULL
)""",
    # One row. `clock_at` is the latest time that a caller gave: an earlier one means that the clock was set back.
    """
CREATE TABLE job_epoch (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    epoch INTEGER NOT NULL,
    clock_at TEXT NOT NULL
)""",
    "INSERT INTO job_epoch (id, epoch, clock_at) VALUES (1, 1, '1970-01-01 00:00:00.000000')",
)

#: The way back of `TABLES`.
DROPPED = tuple(
    f"DROP TABLE {name}"
    for name in (
        "job_epoch",
        "job_assignment",
        "job_wish",
        "job_lock",
        "job_batch",
        "job_schedule",
        "job_period",
        "job_queue",
        "job_parent",
        "job_tally",
        "job_attempt",
        "job",
    )
)

#: The fleet's table of hints for live pages, for a store without a portal (tests, benches).
CHANGES = """
CREATE TABLE IF NOT EXISTS fleet_change (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, at TEXT NOT NULL
)"""
