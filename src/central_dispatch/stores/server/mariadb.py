"""MariaDB's words and errors, by mysqlclient. 10.6 and newer: SKIP LOCKED, JSON_TABLE, RETURNING of an INSERT."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import MySQLdb
from MySQLdb.constants import CLIENT

from central_dispatch.configuration import Database
from central_dispatch.stores.server.patience import CONNECT_S, LOCK_S, PATIENCE_S, STATEMENT_S
from central_dispatch.stores.server.schema import CHANGES, TABLES
from central_dispatch.stores.server.session import Dialect, Verdict

#: Case and trailing spaces count, as on the other databases.
COLLATION = "utf8mb4_nopad_bin"
TYPES = {
    "serial": "BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY",
    "time": "DATETIME(6)",
    "long": "MEDIUMTEXT",
    "bool": "BOOLEAN",
    "bytes": "MEDIUMBLOB",
    "table": f"ENGINE=InnoDB CHARACTER SET utf8mb4 COLLATE {COLLATION}",
}
INDEXES = (
    "CREATE INDEX job_due ON job (state, queue, priority, due_at, id)",
    "CREATE INDEX job_parent_of ON job (parent)",
    "CREATE INDEX job_dead ON job (state, expires_at)",
    "CREATE INDEX job_ended ON job (ended_at)",
    "CREATE UNIQUE INDEX job_unique_key ON job (queue, unique_key)",
    "CREATE UNIQUE INDEX job_batch_index ON job (batch, batch_index)",
    "CREATE INDEX job_batch_state ON job (batch, state)",
    "CREATE INDEX job_batch_ended ON job (batch, ended_at)",
    "CREATE INDEX job_waits_on ON job (waits_on)",
    # For the list of jobs: each of its orders.
    "CREATE INDEX job_created ON job (created_at, id)",
    "CREATE INDEX job_queue_created ON job (queue, created_at, id)",
    "CREATE INDEX job_state_created ON job (state, created_at, id)",
    "CREATE INDEX job_started ON job (started_at, id)",
    "CREATE INDEX job_next ON job (state, due_at, id)",
)
MENDS = {
    1040: "It has too many connections: raise max_connections, or use fewer workers.",
    1203: "This user has too many connections: raise max_user_connections, or use fewer workers.",
    1226: "This user is at a limit: raise it, or use fewer workers.",
    1021: "Its disk is full: free space on it; jobs wait meanwhile and nothing is lost.",
    1114: "Its disk is full: free space on it; jobs wait meanwhile and nothing is lost.",
    1030: "Its disk does not answer as it should, or is full: look at the server's log.",
    1290: "It is read-only, a replica perhaps: name the primary in dispatcher.toml.",
    1836: "It is read-only, a replica perhaps: name the primary in dispatcher.toml.",
    1792: "It is read-only: see tx_read_only.",
    1044: "Give this user the rights (central-dispatch dispatcher show-database-sql).",
    1045: "Correct user or password_file in dispatcher.toml (central-dispatch dispatcher show-database-sql).",
    1698: "Correct user or password_file in dispatcher.toml (central-dispatch dispatcher show-database-sql).",
    1142: "Give this user the rights (central-dispatch dispatcher show-database-sql).",
    1143: "Give this user the rights (central-dispatch dispatcher show-database-sql).",
    1130: "Let this user in from this machine (central-dispatch dispatcher show-database-sql).",
    1049: "Make the database (central-dispatch dispatcher show-database-sql), or correct name in dispatcher.toml.",
    1146: "The tables are missing or older than this version: start the dispatcher once to migrate.",
    1054: "The tables are older than this version: start the dispatcher once to migrate.",
    1205: "Somebody keeps rows locked: look at SHOW ENGINE INNODB STATUS; it is tried again.",
    1969: "A statement took too long: look at what else the server does; it is tried again.",
    1153: "Raise max_allowed_packet to 16M or more.",
}
_AGAIN = {1213, 1020}
_LOST = {2006, 2013, 2014, 2055, 1927, 1053, 1158, 1159, 1160, 1161, 4031}
_WORDS = (
    (re.compile(r"INSERT INTO (.*)\bON CONFLICT DO NOTHING", re.DOTALL), r"INSERT IGNORE INTO \1"),
    (re.compile(r"ON CONFLICT \([^)]*\) DO UPDATE SET"), "ON DUPLICATE KEY UPDATE"),
    (re.compile(r"\bexcluded\.(\w+)"), r"VALUES(\1)"),
    (re.compile(r"IS NOT DISTINCT FROM"), "<=>"),
    (re.compile(r"FOR (?:KEY )?SHARE"), "LOCK IN SHARE MODE"),
)


def connect(database: Database) -> Any:  # noqa: ANN401 the driver ships no types
    """Open a connection: autocommit, UTC, READ COMMITTED, strict, and no statement without an end."""
    connection = MySQLdb.connect(**parameters(database), autocommit=True)
    # As a variable it has one name up to 11.0 and another one from 11.1 on.
    connection.query("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
    return connection


def parameters(database: Database) -> dict[str, Any]:
    """Return what the driver is to be told, for our connections and Django's."""
    session = {
        "sql_mode": "'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
        "time_zone": "'+00:00'",
        "max_statement_time": STATEMENT_S,
        "innodb_lock_wait_timeout": LOCK_S,
    }
    given: dict[str, Any] = {
        "user": database.user,
        "database": database.name,
        "charset": "utf8mb4",
        "connect_timeout": CONNECT_S,
        "read_timeout": int(PATIENCE_S),
        "write_timeout": int(PATIENCE_S),
        # Rows that were found count, changed or not, as on the other databases.
        "client_flag": CLIENT.FOUND_ROWS,
        "init_command": "SET " + ", ".join(f"SESSION {name} = {value}" for name, value in session.items()),
    }
    if database.password_file:
        given["password"] = database.password
    if database.socket:
        given["unix_socket"] = str(database.socket)
    else:
        given |= {"host": database.host, "port": database.at_port}
    if database.tls:
        given |= {"ssl": {"ca": str(database.tls)}, "ssl_mode": "VERIFY_IDENTITY"}
    return given


@cache
def _sql(text: str) -> str:
    for ours, its in _WORDS:
        text = ours.sub(its, text)
    return text


def _value(value: Any) -> Any:  # noqa: ANN401 whatever a column holds
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None)
    if isinstance(value, list):
        return tuple(value) or (None,)
    return value


def _update_from(assignments: Mapping[str, str], columns: Mapping[str, str]) -> str:
    sets = ", ".join(f"job.{name} = {value}" for name, value in assignments.items())
    types = {"time": "DATETIME(6)", "text": f"TEXT COLLATE {COLLATION}", "long": "MEDIUMTEXT", "int": "BIGINT"}
    typed = ", ".join(f"{name} {types[kind]} PATH '$.{name}'" for name, kind in columns.items())
    return f"UPDATE job JOIN JSON_TABLE(%s, '$[*]' COLUMNS ({typed})) AS v ON job.id = v.id SET {sets}"  # noqa: S608 constants


def _repeatable(statement: str) -> str:
    """Return a statement that can be run again: the server commits each, and a migration may be cut off."""
    for word in ("CREATE TABLE", "CREATE INDEX", "CREATE UNIQUE INDEX"):
        statement = re.sub(rf"^\s*{word} ", f"{word} IF NOT EXISTS ", statement)
    return re.sub(r"^INSERT INTO", "INSERT IGNORE INTO", statement)


def _is_duplicate(error: Exception) -> bool:
    return error.args[:1] == (1062,)


DIALECT = Dialect(
    name="mariadb",
    tables=tuple(_repeatable(text) for text in (*(text.format(**TYPES) for text in TABLES), *INDEXES)),
    sql=_sql,
    value=_value,
    update_from=_update_from,
    later="due_at + INTERVAL %s SECOND",
    is_duplicate=_is_duplicate,
)
CHANGES_TABLE = CHANGES.format(**TYPES)
ERROR = MySQLdb.Error


def verdict(error: Exception, *, closed: bool) -> Verdict:
    """Say what an error means."""
    code = error.args[0] if error.args else None
    if code in _AGAIN:
        return "again"
    if code in _LOST or closed:
        return "lost"
    if code in MENDS or isinstance(error, MySQLdb.OperationalError | MySQLdb.InterfaceError):
        return "down"
    return "ours"


def mend(error: Exception) -> str:
    """Return what to do about it."""
    code = error.args[0] if error.args else None
    words = "Check that it runs and can be reached from here; it is tried again, and nothing is lost."
    return MENDS.get(code, words) if isinstance(code, int) else words


def said(error: Exception) -> str:
    """Return the server's own words, in one line."""
    return " ".join(str(error.args[-1] if error.args else error).split())
