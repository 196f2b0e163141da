"""Ports and a journal that kill their own process with SIGKILL before or after a chosen side effect."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from central_dispatch.provisioning.journal import Entry, Kind
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.saga import Journal

#: What changes a host, by port. Everything else only looks.
SIDE_EFFECTS = {
    "files": {
        "archive",
        "copy_tree", "create_directory", "create_file", "create_link", "move_new", "remove", "replace", "sync",
    },
    "accounts": {"create", "delete", "describe", "end_processes", "join", "next_id"},
    "databases": {"create", "create_user", "describe", "drop", "drop_user", "dump", "grant"},
    "web": {"owe_reload", "reload"},
    "schedules": {"write"},
    "processes": {"end_leftovers", "run"},
    "services": {"describe", "install", "remove", "start"},
    "vault": {"forget", "make"},
}  # fmt: skip


class Killer:
    """Counts points; at point number `at` (from 1) the process ends as if the power was cut to it alone."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.names: list[str] = []

    def point(self, name: str) -> None:
        """Pass a point, or die at it."""
        self.names.append(name)
        if len(self.names) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


class _Around:
    def __init__(self, inner: object, effects: set[str], killer: Killer) -> None:
        self._inner = inner
        self._effects = effects
        self._killer = killer

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in self._effects:
            return found
        return _killing(found, name, self._killer)


def _killing(act: Callable[..., Any], name: str, killer: Killer) -> Callable[..., Any]:
    def around(*args: Any, **kwargs: Any) -> Any:
        killer.point(f"before {name}")
        result = act(*args, **kwargs)
        killer.point(f"after {name}")
        return result

    return around


def killing_host(host: Host, killer: Killer) -> Host:
    """Return the host with a point before and after each side effect."""
    wrapped = {port: _Around(getattr(host, port), effects, killer) for port, effects in SIDE_EFFECTS.items()}
    return replace(host, **wrapped)  # type: ignore[arg-type] # the ports' methods pass through


class KillingJournal:
    """A journal with a point before and after each line."""

    def __init__(self, journal: Journal, killer: Killer) -> None:
        self._journal = journal
        self._killer = killer

    def append(self, kind: Kind, step: int = -1, data: dict[str, Any] | None = None) -> Entry:
        """Append between two points."""
        self._killer.point(f"before line {kind}")
        entry = self._journal.append(kind, step, data)
        self._killer.point(f"after line {kind}")
        return entry

    def entries(self) -> list[Entry]:
        """Return the entries."""
        return self._journal.entries()
