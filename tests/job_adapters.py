"""The adapters of the job engine's ports, for their contract suites. A new adapter: a row in a table below."""

import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from central_dispatch.brokers.embedded import EmbeddedBroker
from central_dispatch.jobs.kinds import Kind
from central_dispatch.jobs.ports import Broker, Store
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.stores.sqlite import SqliteStore, acts
from central_dispatch.stores.sqlite.times import from_text

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

    def _select(self, statement: str, *values: object) -> list[dict[str, Any]]:
        connection = sqlite3.connect(self.path)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(statement, values)]
        finally:
            connection.close()


def _sqlite(directory: Path) -> SqliteSite:
    return SqliteSite(directory / "jobs.sqlite3")


#: Makes an empty site in an empty directory, by the store's name.
STORES: dict[str, Callable[[Path], SqliteSite]] = {"sqlite": _sqlite}


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


BROKERS: dict[str, Callable[[Path], EmbeddedSite]] = {"embedded": _embedded}
