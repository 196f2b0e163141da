"""Locks on things that jobs change, a record or one of its files: leases that live as long as their execution.

Who is refused stands in line, so that a stream of sharers does not starve somebody who needs the thing alone, nor the
other way round. Pure: a store brings the rows, and writes what is decided here.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

MAX_RESOURCE_CHARACTERS = 200
#: More at once would be a batch that should be split.
MAX_LOCKS = 200
#: A place in line holds for this long after its job could have come back: one whose queue is paused blocks nobody.
PATIENCE = timedelta(seconds=30)


@dataclass(frozen=True, slots=True, order=True)
class Lock:
    """A wish for a thing by its name, as `record:3:1742:document`; many may share it, or one has it alone.

    `ValueError` for a name that not every database keeps apart from others.
    """

    resource: str
    shared: bool = False

    def __post_init__(self) -> None:
        name = self.resource
        if not 0 < len(name) <= MAX_RESOURCE_CHARACTERS or " " in name or not name.isprintable():
            raise ValueError(
                f"a lock's name has 1 to {MAX_RESOURCE_CHARACTERS} characters, none of them a space, not {name[:50]!r}"
            )


@dataclass(frozen=True, slots=True)
class Holder:
    """Who is in the way: a job that has the thing, or one that `waits` for it and is before us in line."""

    resource: str
    job: int
    shared: bool
    waits: bool = False

    def __str__(self) -> str:
        if self.waits:
            return f"job {self.job} is before it in line for {self.resource}"
        return f"{self.resource} is locked by job {self.job}"


@dataclass(frozen=True, slots=True)
class Place:
    """A place in line: a job was refused `resource` at `since`, and has waited for it from then on.

    `ready_at`: the latest moment from which on it could have had it: when it was refused, is due, or began again.
    """

    resource: str
    job: int
    shared: bool
    priority: int
    since: datetime
    ready_at: datetime
    waits: bool  # its row waits for this very thing, and not for something else, and it does not run

    @property
    def rank(self) -> tuple[int, datetime, int]:
        """Return where it stands: the highest priority first, then who has waited longest."""
        return -self.priority, self.since, self.job


def wishes(exclusive: Iterable[str], shared: Iterable[str]) -> list[Lock]:
    """Return what a handler asks for, each thing once: alone, where it asks for both. `ValueError`: too many."""
    if isinstance(exclusive, str) or isinstance(shared, str):
        raise TypeError("locks are asked for by lists of names")  # each letter would be a name
    alone = {Lock(resource) for resource in exclusive}
    both = alone | {Lock(resource, shared=True) for resource in shared if Lock(resource) not in alone}
    if len(both) > MAX_LOCKS:
        raise ValueError(f"{len(both)} locks at once, {MAX_LOCKS} are the most: split the job")
    return sorted(both)


def in_the_way(
    wish: Lock, me: Place, holders: Collection[Holder], line: Collection[Place], now: datetime
) -> list[Holder]:
    """Return who keeps us from taking one thing. `holders` and `line` are all of that thing, our own among them.

    `me` is our place in line, from now on or since an earlier refusal. Who has the thing already does not queue for
    more of it.
    """
    clash = [one for one in holders if one.job != me.job and not (one.shared and wish.shared)]
    if clash or any(one.job == me.job for one in holders):
        return clash
    return [
        Holder(one.resource, one.job, one.shared, waits=True)
        for one in sorted(line, key=lambda place: place.rank)
        if one.job != me.job and one.rank < me.rank and _clash(one, wish) and one.ready_at + PATIENCE > now
    ]


def next_in_line(holders: Collection[Holder], line: Collection[Place]) -> list[int]:
    """Return the jobs that wait for one thing and could have it now, side by side."""
    if any(not one.shared for one in holders):
        return []
    taken: list[int] = []
    for place in sorted((place for place in line if place.waits), key=lambda place: place.rank):
        if place.shared:
            taken.append(place.job)
            continue
        return taken if taken or holders else [place.job]
    return taken


def _clash(place: Place, wish: Lock) -> bool:
    return not (place.shared and wish.shared)


def why(holders: Sequence[Holder]) -> str:
    """Say in a few words who is in the way."""
    first = "; ".join(map(str, holders[:3]))
    return first if len(holders) <= 3 else f"{first} and {len(holders) - 3} more"  # noqa: PLR2004 as above
