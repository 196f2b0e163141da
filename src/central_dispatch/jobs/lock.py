"""Locks on things that jobs change, a record or one of its files: leases that live as long as their execution."""

from dataclasses import dataclass

MAX_RESOURCE_CHARACTERS = 200


@dataclass(frozen=True, slots=True, order=True)
class Lock:
    """A wish for a thing by its name, as `record:3:1742:document`; many may share it, or one has it alone."""

    resource: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Holder:
    """Who has a lock that is in the way."""

    resource: str
    job: int
    shared: bool
