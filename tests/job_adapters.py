"""The adapters of the job engine's ports, for their contract suites. A new adapter: a row in a table below."""

import json
import os
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from central_dispatch.brokers.embedded import EmbeddedBroker
from central_dispatch.configuration import Database  # noqa: F401 for `expression`
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.ports import Broker, Store
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.stores.places import driver_of
from central_dispatch.stores.server import ServerStore
from central_dispatch.stores.server import acts as acts_on_servers
from central_dispatch.stores.server import batches as batches_on_servers
from central_dispatch.stores.server.schema import DROPPED
from central_dispatch.stores.server.session import Session, moment
from central_dispatch.stores.sqlite import SqliteStore, acts, batches
from central_dispatch.stores.sqlite.times import from_text
from servers.job_databases import DatabaseServer, shared_server
from servers.rabbitmq import open_rabbit, shared_node, write_place

Result = TypeVar("Result")
#: The kinds that the suites use; any other queue has the plain defaults.
KINDS: Mapping[str, Kind] = {
    "tight": Kind(name="tight", handler="-", says="-", defaults=QueueSettings(concurrency=3)),
    "once": Kind(name="once", handler="-", says="-", defaults=QueueSettings(max_attempts=1)),
}


@dataclass
class SqliteSite:
    """A database file, its tables made; stores open it as processes would."""

    path: Path
    #: Process numbers that count as gone.
    gone: set[int] = field(default_factory=set)
    opened: list[SqliteStore] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.path.touch()
        self.open().create_tables()

    def open(self) -> Store:
        """A further store on the same database."""
        store = SqliteStore(self.path, KINDS, self.gone.__contains__)
        self.opened.append(store)
        return store

    def close(self) -> None:
        for store in self.opened:
            store.close()

    @property
    def expression(self) -> str:
        """What opens the store in another Python process, after `from job_adapters import *`."""
        return f"SqliteStore(Path({str(self.path)!r}), KINDS)"

    def row(self, job: int) -> dict[str, Any]:
        """A job's columns; times as times, JSON read."""
        (row,) = self._select("SELECT * FROM job WHERE id = ?", job)
        times = {name: from_text(row[name]) for name in row if name.endswith("_at") and row[name]}
        return row | times | {"result": json.loads(row["result"]), "payload": json.loads(row["payload"])}

    def rows(self) -> list[dict[str, Any]]:
        return self._select("SELECT * FROM job ORDER BY id")

    def history(self, job: int) -> list[dict[str, Any]]:
        """A job's executions that have ended, oldest first."""
        return self._select("SELECT * FROM job_attempt WHERE job = ? ORDER BY id", job)

    def parents(self) -> list[dict[str, Any]]:
        """The registered parents, and what each serves."""
        rows = self._select("SELECT id, queues, slots FROM job_parent ORDER BY id")
        return [row | {"queues": json.loads(row["queues"])} for row in rows]

    def topics(self) -> list[str]:
        """The hints for live pages, oldest first."""
        return [row["topic"] for row in self._select("SELECT topic FROM fleet_change ORDER BY id")]

    def interrupt(self, job: int, by: str) -> str:
        """What a person does."""
        with sqlite3.connect(self.path) as connection:
            return acts.interrupt(connection, job, by, "", datetime.now(UTC))

    def batch(self, number: int) -> dict[str, Any]:
        """A batch's columns."""
        (row,) = self._select("SELECT * FROM job_batch WHERE id = ?", number)
        return row

    #: What the portal calls in its own transactions.
    acts = acts
    batches = batches

    def write(self, function: Callable[[Any], Result]) -> Result:
        """Call a function of `acts` or `batches` in a transaction, as the portal does."""
        store = self.open()
        assert isinstance(store, SqliteStore)
        with store._connections.writing() as connection:
            return function(connection)

    def _select(self, statement: str, *values: object) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.path)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(statement, values)]
        finally:
            connection.close()


def _sqlite(directory: Path) -> SqliteSite:
    return SqliteSite(directory / "jobs.sqlite3")


@dataclass
class ServerSite:
    """A database on a server that all tests share, its tables made and emptied; stores open it as processes would."""

    engine: str
    name: str
    gone: set[int] = field(default_factory=set)
    opened: list[ServerStore] = field(default_factory=list)

    @property
    def server(self) -> DatabaseServer:
        return shared_server(self.engine)

    def open(self, **more: Any) -> Store:
        """A further store on the same database."""
        driver = driver_of(self.engine)
        store = ServerStore(driver, self.server.configuration(self.name, **more), KINDS, self.gone.__contains__)
        self.opened.append(store)
        return store

    def close(self) -> None:
        for store in self.opened:
            store.close()
        give_back(self.engine, self.name)

    @property
    def expression(self) -> str:
        """What opens the store in another Python process, after `from job_adapters import *`."""
        text = self.server.configuration(self.name).model_dump_json(exclude_unset=True)
        return f"ServerStore(driver_of({self.engine!r}), Database.model_validate_json({text!r}), KINDS)"

    def row(self, job: int) -> dict[str, Any]:
        """A job's columns; times as times, JSON read."""
        (row,) = self._select("SELECT * FROM job WHERE id = %s", job)
        return row | {"result": json.loads(row["result"]), "payload": json.loads(row["payload"])}

    def rows(self) -> list[dict[str, Any]]:
        return self._select("SELECT * FROM job ORDER BY id")

    def history(self, job: int) -> list[dict[str, Any]]:
        """A job's executions that have ended, oldest first."""
        return self._select("SELECT * FROM job_attempt WHERE job = %s ORDER BY id", job)

    def parents(self) -> list[dict[str, Any]]:
        """The registered parents, and what each serves."""
        rows = self._select("SELECT id, queues, slots FROM job_parent ORDER BY id")
        return [row | {"queues": json.loads(row["queues"])} for row in rows]

    def topics(self) -> list[str]:
        """The hints for live pages, oldest first."""
        return [row["topic"] for row in self._select("SELECT topic FROM fleet_change ORDER BY id")]

    def interrupt(self, job: int, by: str) -> str:
        """What a person does."""
        store = self._own_store
        return store._connections.write(
            lambda session: acts_on_servers.interrupt(session, job, by, "", datetime.now(UTC))
        )

    def batch(self, number: int) -> dict[str, Any]:
        """A batch's columns."""
        (row,) = self._select("SELECT * FROM job_batch WHERE id = %s", number)
        return row

    #: What the portal calls in its own transactions.
    acts = acts_on_servers
    batches = batches_on_servers

    def write(self, function: Callable[[Any], Result]) -> Result:
        """Call a function of `acts` or `batches` in a transaction, as the portal does."""
        return self._own_store._connections.write(function)

    @cached_property
    def _own_store(self) -> ServerStore:
        store = self.open()
        assert isinstance(store, ServerStore)
        return store

    def _select(self, statement: str, *values: object) -> list[dict[str, Any]]:
        return self._own_store._connections.read(lambda session: select(session, statement, *values))


def select(session: Session, statement: str, *values: object) -> list[dict[str, Any]]:
    """The rows of a statement as mappings, its times aware."""
    rows = session.rows(statement, *values)
    names = [column[0] for column in session._cursor.description]  # type: ignore[attr-defined] # both cursors have it
    return [
        {name: moment(value) if isinstance(value, datetime) else value for name, value in zip(names, row, strict=True)}
        for row in rows
    ]


#: Databases with their tables that no test uses now, by engine.
_free: dict[str, list[str]] = {}
_numbers = count(1)
_TABLES = tuple(line.split()[2] for line in DROPPED if "job_stripe" not in line)


def taken_database(engine: str) -> str:
    """A database with empty tables, for one test: `give_back` ends that."""
    if _free.get(engine):
        return _free[engine].pop()
    name = f"jobs_{os.getpid()}_{next(_numbers)}"
    shared_server(engine).make_database(name)
    store = ServerStore(driver_of(engine), shared_server(engine).configuration(name))
    store.create_tables()
    store.close()
    return name


def _server(engine: str) -> Callable[[Path], ServerSite]:
    return lambda _directory: ServerSite(engine, taken_database(engine))


def give_back(engine: str, name: str) -> None:
    """Empty a database: another test takes it. Making one takes a tenth of a second."""
    connection = shared_server(engine).administrator(name)
    cursor = connection.cursor()
    for table in (*_TABLES, "fleet_change"):
        cursor.execute(f"DELETE FROM {table}")  # noqa: S608 constants
    cursor.execute("INSERT INTO job_epoch (id, epoch) VALUES (1, 1)")
    connection.close()
    _free.setdefault(engine, []).append(name)


#: Makes an empty site in an empty directory, by the store's name.
STORES: dict[str, Callable[[Path], Any]] = {
    "sqlite": _sqlite,
    "postgresql": _server("postgresql"),
    "mariadb": _server("mariadb"),
}


@dataclass
class EmbeddedSite:
    """A directory of bells."""

    directory: Path

    def open(self) -> Broker:
        """A further broker, as another process would have."""
        return EmbeddedBroker(self.directory)

    @property
    def expression(self) -> str:
        """What opens the broker in another Python process, after `from job_adapters import *`."""
        return f"EmbeddedBroker(Path({str(self.directory)!r}))"


def _embedded(directory: Path) -> EmbeddedSite:
    return EmbeddedSite(directory / "bells")


@dataclass
class RabbitSite:
    """A virtual host of its own on the session's node."""

    directory: Path

    def __post_init__(self) -> None:
        node = shared_node()
        write_place(self.directory, node.place(node.fresh_virtual_host()))

    def open(self) -> Broker:
        """A further broker, as another process would have."""
        return open_rabbit(self.directory)

    @property
    def expression(self) -> str:
        """What opens the broker in another Python process, after `from job_adapters import *`."""
        return f"open_rabbit(Path({str(self.directory)!r}))"


BrokerSite = EmbeddedSite | RabbitSite
BROKERS: dict[str, Callable[[Path], BrokerSite]] = {"embedded": _embedded, "rabbitmq": RabbitSite}
