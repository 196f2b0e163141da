"""What a queue worker is to do: kept in the database, so that it can be seen and changed while the worker runs."""

import re
from collections.abc import Collection
from dataclasses import dataclass

MOST_SLOTS = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}", re.ASCII)  # a part of a systemd unit's name, too
_MOST_HOST = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`queues` empty: all of them. `host`: where it is meant to run, for people; empty: anywhere."""

    name: str
    queues: tuple[str, ...] = ()
    slots: int = 1
    host: str = ""

    def problems(self) -> list[tuple[str, str]]:
        """Return (field, what is allowed) for each value that cannot be."""
        found = []
        if not _NAME.fullmatch(self.name):
            found.append(("name", "use letters, digits, dashes and underscores; 63 at most"))
        if not 1 <= self.slots <= MOST_SLOTS:
            found.append(("slots", f"use a number from 1 to {MOST_SLOTS}"))
        if len(self.host) > _MOST_HOST or not self.host.isprintable():
            found.append(("host", f"use the name of a machine, {_MOST_HOST} characters at most"))
        return found

    def served(self, known: Collection[str]) -> tuple[str, ...]:
        """Return the queues that a worker which knows these serves by it: what only a newer one knows is left to it."""
        return tuple(queue for queue in known if not self.queues or queue in self.queues)
