"""What a queue worker is to do: kept in the database, so that it can be seen and changed while the worker runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`queues` empty: all of them. `host`: where it is meant to run, for people; empty: anywhere."""

    name: str
    queues: tuple[str, ...] = ()
    slots: int = 1
    host: str = ""
