"""The tables on servers: the same names and columns as on SQLite (a test compares them), and three more.

`job_output`: captured output. `job_clock`: the latest time that a caller on that host (its `pid_space`) gave; hosts'
clocks differ, so each is compared with itself. `job_stripe`: rows that are locked, for as long as a transaction, in
place of a thing that has no row of its own: a queue's room, a resource.
"""

STRIPES = 64  # of queues; as many again of resources

TABLES = (
    """
CREATE TABLE job (
    id {serial},
    queue VARCHAR(100) NOT NULL,
    state VARCHAR(12) NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'finished', 'in_error', 'interrupted')),
    waiting_for VARCHAR(8) NOT NULL DEFAULT 'new' CHECK (waiting_for IN ('new', 'retry', 'deferred')),
    priority SMALLINT NOT NULL CHECK (priority BETWEEN 0 AND 9),
    due_at {time} NOT NULL,
    waits_on VARCHAR(200),
    payload {long} NOT NULL,
    payload_version INTEGER NOT NULL,
    unique_key VARCHAR(255),
    given_key VARCHAR(255),
    batch BIGINT,
    batch_index BIGINT,
    attempts INTEGER NOT NULL DEFAULT 0,
    deferrals INTEGER NOT NULL DEFAULT 0,
    fence BIGINT NOT NULL DEFAULT 0,
    parent VARCHAR(64),
    interrupt_by TEXT NOT NULL DEFAULT '',
    percent DOUBLE PRECISION,
    words TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    ended_by TEXT NOT NULL DEFAULT '',
    result {long} NOT NULL DEFAULT '{{}}',
    enqueued_by TEXT NOT NULL,
    created_at {time} NOT NULL,
    started_at {time},
    ended_at {time},
    expires_at {time},
    CHECK ((parent IS NOT NULL) = (state = 'running'))
) {table}""",
    """
CREATE TABLE job_attempt (
    id {serial},
    job BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    parent VARCHAR(64) NOT NULL,
    host TEXT NOT NULL,
    parent_pid INTEGER NOT NULL,
    child_pid INTEGER NOT NULL,
    started_at {time},
    ended_at {time} NOT NULL,
    outcome VARCHAR(100) NOT NULL,
    error TEXT NOT NULL,
    output_bytes INTEGER NOT NULL DEFAULT 0
) {table}""",
    "CREATE UNIQUE INDEX job_attempt_fence ON job_attempt (job, fence)",
    """
CREATE TABLE job_tally (
    minute {time} NOT NULL,
    queue VARCHAR(100) NOT NULL,
    outcome VARCHAR(100) NOT NULL,
    parent VARCHAR(64) NOT NULL,
    executions BIGINT NOT NULL,
    run_ms BIGINT NOT NULL,
    PRIMARY KEY (minute, queue, outcome, parent)
) {table}""",
    """
CREATE TABLE job_parent (
    id VARCHAR(64) PRIMARY KEY,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    pid_space VARCHAR(255) NOT NULL DEFAULT '',
    queues TEXT NOT NULL,
    slots INTEGER NOT NULL,
    assignment VARCHAR(100) NOT NULL DEFAULT '',
    version TEXT NOT NULL DEFAULT '',
    count BIGINT NOT NULL DEFAULT 0,
    started_at {time} NOT NULL,
    beat_at {time} NOT NULL
) {table}""",
    "CREATE TABLE job_queue (queue VARCHAR(100) PRIMARY KEY, changes TEXT NOT NULL) {table}",
    "CREATE TABLE job_period (queue VARCHAR(100) PRIMARY KEY, last_run_at {time} NOT NULL, last_job BIGINT) {table}",
    """
CREATE TABLE job_schedule (
    name VARCHAR(100) PRIMARY KEY,
    queue VARCHAR(100) NOT NULL,
    expression TEXT NOT NULL,
    zone TEXT NOT NULL,
    payload {long} NOT NULL,
    payload_version INTEGER NOT NULL,
    priority SMALLINT NOT NULL,
    is_on {bool} NOT NULL,
    next_run_at {time},
    last_run_at {time},
    last_job BIGINT
) {table}""",
    """
CREATE TABLE job_batch (
    id {serial},
    job BIGINT UNIQUE,
    kind VARCHAR(100) NOT NULL,
    says TEXT NOT NULL,
    source TEXT NOT NULL,
    expected BIGINT NOT NULL,
    total BIGINT,
    created_by TEXT NOT NULL,
    created_at {time} NOT NULL
) {table}""",
    """
CREATE TABLE job_lock (
    resource VARCHAR(200) NOT NULL,
    job BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    shared {bool} NOT NULL,
    taken_at {time} NOT NULL,
    PRIMARY KEY (resource, job)
) {table}""",
    "CREATE INDEX job_lock_of ON job_lock (job)",
    """
CREATE TABLE job_wish (
    resource VARCHAR(200) NOT NULL,
    job BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    shared {bool} NOT NULL,
    since {time} NOT NULL,
    asked_at {time} NOT NULL,
    PRIMARY KEY (resource, job)
) {table}""",
    "CREATE INDEX job_wish_of ON job_wish (job)",
    """
CREATE TABLE job_assignment (
    name VARCHAR(100) PRIMARY KEY,
    queues TEXT NOT NULL,
    slots INTEGER NOT NULL,
    host TEXT NOT NULL,
    changed_at {time} NOT NULL
) {table}""",
    "CREATE TABLE job_epoch (id SMALLINT PRIMARY KEY CHECK (id = 1), epoch BIGINT NOT NULL) {table}",
    "INSERT INTO job_epoch (id, epoch) VALUES (1, 1)",
    "CREATE TABLE job_clock (host VARCHAR(255) PRIMARY KEY, clock_at {time} NOT NULL) {table}",
    "CREATE TABLE job_stripe (id SMALLINT PRIMARY KEY) {table}",
    f"INSERT INTO job_stripe (id) VALUES {', '.join(f'({number})' for number in range(2 * STRIPES))}",  # noqa: S608 numbers
    """
CREATE TABLE job_output (
    job BIGINT NOT NULL,
    fence BIGINT NOT NULL,
    content {bytes} NOT NULL,
    PRIMARY KEY (job, fence)
) {table}""",
)

#: The way back.
DROPPED = tuple(
    f"DROP TABLE {name}"
    for name in (
        "job_output",
        "job_stripe",
        "job_clock",
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
CHANGES = (
    "CREATE TABLE IF NOT EXISTS fleet_change (id {serial}, topic VARCHAR(200) NOT NULL, at {time} NOT NULL) {table}"
)
