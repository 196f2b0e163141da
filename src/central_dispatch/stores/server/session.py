"""A cursor inside a transaction, ours or Django's, and what its database calls otherwise."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Protocol

Row = tuple[Any, ...]
#: What an error of the driver means: the transaction can be tried again at once; the connection is gone; the database
#: cannot be used; or it is a fault of ours.
Verdict = Literal["again", "lost", "down", "ours"]


class Cursor(Protocol):
    """What both drivers' cursors, and Django's, can do."""

    rowcount: int

    def execute(self, sql: str, values: Sequence[Any]) -> object:
        """Run one statement."""

    def executemany(self, sql: str, rows: Sequence[Sequence[Any]]) -> object:
        """Run one statement for many rows."""

    def fetchall(self) -> Sequence[Row]:
        """Return the rows."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """What differs. `sql` gives a statement its database's words; `update_from` builds an UPDATE of many rows.

    `update_from(assignments, columns)`: the table `job`, from one JSON array of objects `v` of these typed columns.
    """

    name: Literal["postgresql", "mariadb"]
    tables: Sequence[str]
    sql: Callable[[str], str]
    value: Callable[[Any], Any]
    update_from: Callable[[Mapping[str, str], Mapping[str, str]], str]
    later: str  # an expression: due_at moved by %s seconds
    is_duplicate: Callable[[Exception], bool]  # the driver's error or Django's: a unique key is held


class Session:
    """A cursor and its dialect. Times go in aware and come out aware, in UTC; a list stands for `IN %s`."""

    __slots__ = ("_cursor", "dialect")

    def __init__(self, cursor: Cursor, dialect: Dialect) -> None:
        self._cursor = cursor
        self.dialect = dialect

    def rows(self, sql: str, *values: Any) -> Sequence[Row]:  # noqa: ANN401 whatever a column holds
        """Run a statement that returns rows."""
        self._execute(sql, values)
        return self._cursor.fetchall()

    def one(self, sql: str, *values: Any) -> Row | None:  # noqa: ANN401 likewise
        """Run a statement that returns a row at most."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def run(self, sql: str, *values: Any) -> int:  # noqa: ANN401 likewise
        """Run a statement; returns how many rows it found."""
        self._execute(sql, values)
        return self._cursor.rowcount

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> None:
        """Run a statement for each of these rows, in few messages."""
        value = self.dialect.value
        if bound := [tuple(map(value, row)) for row in rows]:
            self._cursor.executemany(self.dialect.sql(sql), bound)

    def _execute(self, sql: str, values: Sequence[Any]) -> None:
        self._cursor.execute(self.dialect.sql(sql), tuple(map(self.dialect.value, values)))


def moment(value: datetime) -> datetime:
    """Return a column's time as an aware one in UTC."""
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def moment_or_none(value: datetime | None) -> datetime | None:
    """Return a column's time, if there is one."""
    return None if value is None else moment(value)


def plain(text: str) -> str:
    """Return a text without the one character that PostgreSQL cannot store."""
    return text.replace("\x00", "�")
