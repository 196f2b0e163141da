"""MariaDB (and MySQL) through a provisioning account of the host."""

import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.constants import CR, ER

from central_dispatch.platforms.database_dump import dump_database
from central_dispatch.platforms.database_sql import INSTANCE_RIGHTS, escaped_pattern, quoted, tables_with_marks
from central_dispatch.provisioning.ports import DatabaseAddress, DatabaseFound
from central_dispatch.provisioning.problem import HostError, Occupied, Problem, Unavailable

if TYPE_CHECKING:
    from pymysql.cursors import Cursor

_CONNECT_TIMEOUT_S = 5
_QUERY_TIMEOUT_S = 120
# Accounts for these are ours, whether the host worker came by the socket or over TCP when it made them.
_OUR_HOSTS = ("localhost", "127.0.0.1")
_COMMENTS_SINCE = (10, 5)  # MariaDB's CREATE DATABASE … COMMENT
#: The table that bears the mark in its comment, where a database itself can have none (MySQL).
MARK_TABLE = "central_dispatch_mark"
_OTHER_PASSWORD_RULES = 1290  # a password-checking plugin wants to see the password itself
_DOWN = {
    CR.CR_CONNECTION_ERROR,
    CR.CR_CONN_HOST_ERROR,
    CR.CR_SERVER_GONE_ERROR,
    CR.CR_SERVER_LOST,
    ER.SERVER_SHUTDOWN,
    ER.CON_COUNT_ERROR,
}
_REFUSED = {ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, 1698, 1130}
_EXISTS = {ER.DB_CREATE_EXISTS, 1396}


@dataclass(frozen=True, slots=True)
class DatabaseAccess:
    """How the host worker reaches the server: as which account, by a socket (which wins) or over TCP.

    The server is this machine's: instances come from `localhost`. An empty password means that the server
    knows the account by its Unix user (`unix_socket`).
    """

    user: str = "root"
    password: str = field(default="", repr=False)
    socket: str = ""
    host: str = "localhost"
    port: int = 3306

    @property
    def address(self) -> DatabaseAddress:
        """Where an instance reaches the same server."""
        if self.socket:
            return DatabaseAddress(socket=self.socket)
        # A client library reads `localhost` as “by the socket”, wherever it believes that to be.
        return DatabaseAddress(host="127.0.0.1" if self.host == "localhost" else self.host, port=self.port)

    @property
    def account_hosts(self) -> tuple[str, ...]:
        """From where an instance's account connects: a TCP client may be seen as either."""
        return ("localhost",) if self.socket else _OUR_HOSTS


class MariaDb:
    """Adapter of `ports.Databases`. Keeps one connection, made anew when the server was restarted."""

    def __init__(self, access: DatabaseAccess) -> None:
        self.address = access.address
        self._access = access
        self._connection: pymysql.Connection[Cursor] | None = None
        self._lock = threading.RLock()
        self._version = ""

    def version(self) -> str:
        """See `ports.Databases`."""
        ((said,),) = self._query("SELECT VERSION()")
        name = "MariaDB" if "mariadb" in said.lower() else "MySQL"
        self._version = f"{name} {said.split('-')[0]}"
        return self._version

    def find(self, name: str) -> DatabaseFound | None:
        """See `ports.Databases`."""
        if self._has_comments():
            rows = self._query("SELECT SCHEMA_COMMENT FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", name)
            comment = rows[0][0] if rows else ""
        else:
            rows = self._query("SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = %s", name)
            marks = self._query(tables_with_marks("TABLE_COMMENT"), name, MARK_TABLE)
            comment = marks[0][0] if marks else ""
        if not rows:
            self._demand_quiet(f"CREATE DATABASE {quoted(name)}")
            return None
        ((tables,),) = self._query(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = %s AND TABLE_NAME <> %s",
            name,
            MARK_TABLE,
        )
        return DatabaseFound(comment=comment, tables=int(tables))

    def create(self, name: str, comment: str) -> None:
        """See `ports.Databases`. MySQL has no comments of databases: there a table of the new database bears it."""
        create = f"CREATE DATABASE {quoted(name)} CHARACTER SET utf8mb4"
        if self._has_comments():
            self._do(f"{create} COMMENT %s", comment, what=f"Cannot create the database {name}")
            return
        self._do(create, what=f"Cannot create the database {name}")
        self._mark(name, comment)

    def describe(self, name: str, comment: str) -> None:
        """See `ports.Databases`."""
        if self._has_comments():
            what = f"Cannot describe the database {name}"
            self._do(f"ALTER DATABASE {quoted(name)} COMMENT %s", comment, what=what)
        else:
            self._mark(name, comment)

    def drop(self, name: str) -> None:
        """See `ports.Databases`."""
        self._do(f"DROP DATABASE IF EXISTS {quoted(name)}", what=f"Cannot drop the database {name}")

    def user_exists(self, user: str) -> bool:
        """See `ports.Databases`."""
        if self._account_hosts(user):
            return True
        self._demand_quiet(f"CREATE USER '{user}'@")
        return False

    def create_user(self, user: str, password: str) -> None:
        """See `ports.Databases`. All accounts of the user in one statement."""
        what = f"Cannot create the database user {user}"
        if self.user_exists(user):
            raise Occupied(Problem(what, "it exists already", "It was left untouched."))
        try:
            self._create_accounts(what, user, "BY PASSWORD", _hashed(password))
        except _PlainPasswordWanted:
            self._create_accounts(what, user, "BY", password)

    def opens(self, user: str, password: str) -> bool:
        """See `ports.Databases`. Logs in."""
        try:
            self._connect(user, password).close()
        except pymysql.err.MySQLError as error:
            if _code(error) in _REFUSED:
                return False
            raise self._explained(error, f"Cannot try the password of {user}") from None
        return True

    def grant(self, user: str, database: str) -> None:
        """See `ports.Databases`."""
        accounts = ", ".join(["%s@%s"] * len(self._access.account_hosts))
        names = [word for host in self._access.account_hosts for word in (user, host)]
        # In a grant `_` and `%` stand for other characters, and `acme_1` would open `acmex1`, too.
        pattern = quoted(escaped_pattern(database)).replace("%", "%%")
        what = f"Cannot grant {user} its rights on {database}"
        try:
            self._do(f"GRANT ALL PRIVILEGES ON {pattern}.* TO {accounts}", *names, what=what)
        except _Denied:
            # A newer server knows a right that our account was made without, and so cannot pass on.
            self._do(f"GRANT {INSTANCE_RIGHTS} ON {pattern}.* TO {accounts}", *names, what=what)

    def grants(self, user: str) -> list[str]:
        """See `ports.Databases`. Without the password's hash."""
        lines: list[str] = []
        for host in self._account_hosts(user):
            rows = self._query("SHOW GRANTS FOR %s@%s", user, host)
            lines += [str(row[0]).partition(" IDENTIFIED ")[0] for row in rows]
        return lines

    def drop_user(self, user: str) -> None:
        """See `ports.Databases`. Connections end after the account, so that none can come back.

        An account of that name for another client host is not ours, and stays.
        """
        for host in _OUR_HOSTS:
            self._do("DROP USER IF EXISTS %s@%s", user, host, what=f"Cannot drop the database user {user}")
        for (number,) in self._query("SELECT ID FROM information_schema.PROCESSLIST WHERE USER = %s", user):
            # It may have ended by itself, and an account with less rights than ours cannot end it.
            with suppress(HostError):
                self._do(f"KILL CONNECTION {int(number)}", what=f"Cannot end a connection of {user}")

    def execute(self, statements: Sequence[str], what: str) -> None:
        """Run statements as they are, such as those of `prepare_statements`; `what` names them in an error."""
        for statement in statements:
            self._do(statement, what=what)

    def close(self) -> None:
        """Give up the connection; the next call makes a new one."""
        with self._lock:
            self._forget()

    def dump(self, database: str, user: str, password: str, *, as_user: str, target: str) -> None:
        """See `ports.Databases`."""
        dump_database(self.address, database, user, password, as_user=as_user, target=target)

    def _create_accounts(self, what: str, user: str, how: str, secret: str) -> None:
        hosts = self._access.account_hosts
        accounts = ", ".join([f"%s@%s IDENTIFIED {how} %s"] * len(hosts))
        values = [word for host in hosts for word in (user, host, secret)]
        self._do(f"CREATE USER {accounts}", *values, what=what)

    def _mark(self, database: str, comment: str) -> None:
        what = f"Cannot mark the database {database}"
        table = f"{quoted(database)}.{quoted(MARK_TABLE)}"
        self._do(f"CREATE TABLE IF NOT EXISTS {table} (mark INT) COMMENT %s", comment, what=what)
        self._do(f"ALTER TABLE {table} COMMENT %s", comment, what=what)

    def _has_comments(self) -> bool:
        name, _, number = (self._version or self.version()).partition(" ")
        major, minor = (int(part) for part in number.split(".")[:2])
        return name == "MariaDB" and (major, minor) >= _COMMENTS_SINCE

    def _account_hosts(self, user: str) -> list[str]:
        return [str(host) for (host,) in self._query("SELECT Host FROM mysql.user WHERE User = %s", user)]

    def _demand_quiet(self, statement: str) -> None:
        """Raise `Unavailable` while a killed host worker's statement waits for a lock: it may still take effect."""
        sql = "SELECT ID FROM information_schema.PROCESSLIST WHERE ID <> CONNECTION_ID() AND LEFT(INFO, %s) = %s"
        if rows := self._query(sql, str(len(statement)), statement):
            why = f"connection {rows[0][0]} executes {statement}"
            raise Unavailable(
                Problem("The database server is busy with an earlier statement", why, "Look what it waits for.")
            )

    def _query(self, sql: str, *values: str) -> tuple[tuple[Any, ...], ...]:
        with self._cursor("Cannot ask the database server") as cursor:
            cursor.execute(sql, values or None)
            return tuple(cursor.fetchall())

    def _do(self, sql: str, *values: str, what: str) -> None:
        with self._cursor(what) as cursor:
            cursor.execute(sql, values or None)

    @contextmanager
    def _cursor(self, what: str) -> "Iterator[Cursor]":
        with self._lock:
            try:
                with self._open().cursor() as cursor:
                    yield cursor
            except pymysql.err.MySQLError as error:
                raise self._explained(error, what) from None

    def _open(self) -> "pymysql.Connection[Cursor]":
        if self._connection is None:
            self._connection = self._connect(self._access.user, self._access.password)
        try:
            # An idle connection may have been cut, or the server restarted.
            self._connection.ping(reconnect=False)
        except pymysql.err.MySQLError:
            self._connection = self._connect(self._access.user, self._access.password)
        return self._connection

    def _connect(self, user: str, password: str) -> "pymysql.Connection[Cursor]":
        return pymysql.connect(
            user=user,
            password=password,
            unix_socket=self._access.socket or None,
            host=self._access.host,
            port=self._access.port,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=_CONNECT_TIMEOUT_S,
            read_timeout=_QUERY_TIMEOUT_S,
            write_timeout=_QUERY_TIMEOUT_S,
        )

    def _explained(self, error: pymysql.err.MySQLError, what: str) -> HostError:
        code, said = _code(error), str(error.args[-1]) if error.args else str(error)
        if code in _DOWN or isinstance(error, pymysql.err.InterfaceError):
            self._forget()
            return Unavailable(Problem("The database server does not answer", said, "Start it, then try again."))
        if code == _OTHER_PASSWORD_RULES and "password" in said.lower():
            return _PlainPasswordWanted(Problem(what, said, ""))
        if code in _EXISTS:
            return Occupied(Problem(what, "it exists already", "It was left untouched."))
        if code in _REFUSED:
            mend = "Run `central-dispatch worker host prepare-database`, or correct the account's password."
            return _Denied(Problem(f"The database server refused the account {self._access.user}", said, mend))
        return HostError(Problem(what, said, "Correct what the server says, then try again."))

    def _forget(self) -> None:
        if self._connection is not None:
            with suppress(pymysql.err.MySQLError, OSError):
                self._connection.close()
        self._connection = None
        # Another version may come up.
        self._version = ""


class _Denied(HostError):
    """The provisioning account may not do that, or not come in."""


class _PlainPasswordWanted(HostError):
    """The server checks new passwords, and does not take a hash."""


def _code(error: pymysql.err.MySQLError) -> int:
    return error.args[0] if error.args and isinstance(error.args[0], int) else 0


def _hashed(password: str) -> str:
    """Return what `mysql_native_password` stores: in the statement, so that no log of the server shows the password."""
    inner = hashlib.sha1(password.encode(), usedforsecurity=False).digest()
    return "*" + hashlib.sha1(inner, usedforsecurity=False).hexdigest().upper()
