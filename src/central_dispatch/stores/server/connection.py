"""Connections to a server: one per thread, a transaction tried again where that is safe, every fault a `StoreDown`."""

import os
import random
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any, Protocol, TypeVar

from central_dispatch.configuration import BadConfiguration, Database
from central_dispatch.jobs.ports import StoreDown
from central_dispatch.stores.server.session import Dialect, Session, Verdict

T = TypeVar("T")
#: A transaction is tried so often: deadlocks and lost connections; then `StoreDown`, and the caller asks again.
TRIES = 6
#: Of these, with a new connection: a server that ends each at once does not answer.
NEW_CONNECTIONS = 3
_PAUSE_S = 0.03


class Driver(Protocol):
    """A module that knows one database: `postgresql` or `mariadb`."""

    DIALECT: Dialect
    ERROR: type[Exception]

    def connect(self, database: Database) -> Any:  # noqa: ANN401 each driver has its own
        """Open a connection in autocommit."""

    def verdict(self, error: Exception, *, closed: bool) -> Verdict:
        """Say what an error means."""

    def mend(self, error: Exception) -> str:
        """Return what to do about it."""

    def said(self, error: Exception) -> str:
        """Return the server's own words."""


class CommitUnknown(StoreDown):
    """The connection was lost while the transaction was being committed: it is in the database whole, or not at all."""


class _Lost(Exception):
    """The connection is gone, before the commit: nothing was done."""


class _Opened:
    """One thread's connection."""

    def __init__(self, driver: Driver, database: Database) -> None:
        self.connection = driver.connect(database)
        self.session = Session(self.connection.cursor(), driver.DIALECT)
        self.pid = os.getpid()

    @property
    def closed(self) -> bool:
        # psycopg knows it (0, or another number); mysqlclient says so with each error.
        return bool(getattr(self.connection, "closed", False))

    def close(self) -> None:
        with suppress(Exception):
            self.connection.close()


class Connections:
    """Opens a connection for each thread that asks; a lost one is opened anew within the call."""

    def __init__(self, driver: Driver | ModuleType, database: Database) -> None:
        self._driver: Driver = driver
        self._database = database
        self._local = threading.local()
        self._all: weakref.WeakSet[_Opened] = weakref.WeakSet()
        self._lock = threading.Lock()

    @property
    def driver(self) -> Driver:
        """The module that knows the database."""
        return self._driver

    def read(self, work: Callable[[Session], T]) -> T:
        """Run statements that only read, each by itself."""
        return self._patiently(lambda opened: self._watched(opened, work))

    def write(self, work: Callable[[Session], T]) -> T:
        """Run statements in one transaction. `work` may be run several times; only the last one counts."""

        def transaction(opened: _Opened) -> T:
            self._watched(opened, lambda session: session.run("BEGIN"))
            try:
                result = self._watched(opened, work)
            except BaseException:
                self._roll_back(opened)
                raise
            self._commit(opened)
            return result

        return self._patiently(transaction)

    def close(self) -> None:
        """Close all threads' connections. The object may be used again."""
        with self._lock:
            opened, self._all = list(self._all), weakref.WeakSet()
            self._local = threading.local()
        for each in opened:
            each.close()

    def _patiently(self, act: Callable[[_Opened], T]) -> T:
        opened_anew = 0
        for tried in range(1, TRIES + 1):
            opened, is_new = self._mine()
            opened_anew += is_new
            try:
                return act(opened)
            except _Lost as lost:
                self._forget()
                if opened_anew >= NEW_CONNECTIONS:
                    raise StoreDown(self._explained(lost.__cause__)) from lost.__cause__
            except self._driver.ERROR as error:
                meaning = self._driver.verdict(error, closed=opened.closed)
                if meaning == "ours":
                    raise
                if meaning == "down" or tried == TRIES:
                    self._forget()
                    raise StoreDown(self._explained(error)) from error
                # A deadlock: the others go first.
                time.sleep(random.uniform(0, _PAUSE_S * tried))  # noqa: S311 only spreads them
        raise StoreDown(f"{self._name()} ends every connection. It is tried again; nothing is lost.")

    def _watched(self, opened: _Opened, work: Callable[[Session], T]) -> T:
        try:
            return work(opened.session)
        except self._driver.ERROR as error:
            if self._driver.verdict(error, closed=opened.closed) == "lost":
                raise _Lost from error
            raise

    def _commit(self, opened: _Opened) -> None:
        try:
            opened.session.run("COMMIT")
        except self._driver.ERROR as error:
            if self._driver.verdict(error, closed=opened.closed) == "again":
                self._roll_back(opened)
                raise
            self._forget()
            raise CommitUnknown(self._explained(error)) from error
        except BaseException:
            self._forget()
            raise

    def _roll_back(self, opened: _Opened) -> None:
        try:
            opened.session.run("ROLLBACK")
        except Exception:  # noqa: BLE001 whatever it is, the server undoes what is not committed
            self._forget()

    def _mine(self) -> tuple[_Opened, bool]:
        opened: _Opened | None = getattr(self._local, "opened", None)
        if opened is not None and opened.pid == os.getpid():
            return opened, False
        try:
            opened = self._local.opened = _Opened(self._driver, self._database)
        except (self._driver.ERROR, OSError) as error:
            raise StoreDown(self._explained(error)) from error
        except BadConfiguration as error:
            raise StoreDown(str(error)) from error
        with self._lock:
            self._all.add(opened)
        return opened, True

    def _forget(self) -> None:
        opened: _Opened | None = getattr(self._local, "opened", None)
        self._local.opened = None
        if opened is not None:
            with self._lock:
                self._all.discard(opened)
            opened.close()

    def _name(self) -> str:
        title = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}[self._driver.DIALECT.name]
        return f"the job database {self._database.name} on {title} at {self._database.place}"

    def _explained(self, error: BaseException | None) -> str:
        if not isinstance(error, self._driver.ERROR):
            return f"{self._name()} cannot be used: {error}. It is tried again; nothing is lost."
        words = self._driver.said(error).rstrip(".")
        return f"{self._name()} cannot be used: {words}. {self._driver.mend(error)}"
