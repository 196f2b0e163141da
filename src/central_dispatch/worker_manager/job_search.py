"""Finds jobs among millions: each question starts from an index, and looks at a bounded number of rows.

A list has an *order*: a time and a direction. Pages are cut by (time, number), never by counting rows. A question whose
index does not answer all of it looks through `LOOK` rows at most and says how far it came.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from django.db import connection
from django.db.models import Q, QuerySet, TextField, Value
from django.db.models.functions import Coalesce

from central_dispatch.worker_manager.models import Job

Order = Literal["newest", "oldest", "started", "ended", "due", "expires", "number"]
PAGE = 50
#: Rows that one question looks through, and numbers that one may name.
LOOK = 50_000
MOST_NUMBERS = 1000
#: The orders that each state offers, the first one being its own; "" is every state.
ORDERS: dict[str, tuple[Order, ...]] = {
    "": ("newest", "oldest", "started", "ended"),
    "waiting": ("due",),
    "running": ("started",),
    "finished": ("newest", "oldest", "ended"),
    "in_error": ("newest", "oldest", "expires"),
    "interrupted": ("newest", "oldest"),
}
_KEYS: dict[Order, str] = {
    "newest": "-created_at",
    "oldest": "created_at",
    "started": "-started_at",
    "ended": "-ended_at",
    "due": "due_at",
    "expires": "expires_at",
    "number": "batch_index",
}
#: Things that a payload names, by the expression that each database has indexed.
_FIELDS = {
    "sqlite": "CAST(json_extract(payload, '$.{}') AS TEXT)",
    "postgresql": "left(payload::json ->> '{}', 200)",
    "mysql": "JSON_VALUE(payload, '$.{}')",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which jobs are looked for. `since` (from then on) and `until` (before) are of the order's own time.

    In a batch, whose jobs have the order of their numbers, of the time of the order that would hold without it.

    `numbers`: these jobs and no others, whatever else is wanted.
    """

    state: str = ""
    queue: str = ""
    record: str = ""
    instance: str = ""
    error: str = ""
    batch: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    order: str = ""
    numbers: tuple[int, ...] = ()

    @property
    def narrowed(self) -> bool:
        """Something besides the state is asked for."""
        return self != Wanted(state=self.state, order=self.order)

    @property
    def ordered(self) -> Order:
        """The order that holds: an order that the state does not offer becomes its own."""
        return "number" if self.batch is not None else self._by_time

    @property
    def _by_time(self) -> Order:
        if self.record or self.instance or self.error:
            return "oldest" if self.order == "oldest" else "newest"
        offered = ORDERS[self.state if self.state in ORDERS else ""]
        return next((order for order in offered if order == self.order), offered[0])

    @property
    def time(self) -> str:
        """The column of the order: its time, or in a batch the number."""
        return _KEYS[self.ordered].lstrip("-")

    @property
    def span_of(self) -> str:
        """The column that `since` and `until` are about."""
        return _KEYS[self._by_time].lstrip("-")


@dataclass(frozen=True, slots=True)
class Place:
    """A place between two rows of a list: the order's value of a row, and its number."""

    value: datetime | int
    job: int


@dataclass(frozen=True, slots=True)
class Found:
    """One page. `earlier` and `later`: whether there is more on either side.

    `looked_back_to`: the place at which the search stopped without having filled the page; go on from there.
    """

    jobs: list[Job]
    earlier: bool = False
    later: bool = False
    looked_back_to: Place | None = None


def find(wanted: Wanted, *, after: Place | None = None, before: Place | None = None, size: int = PAGE) -> Found:
    """Return the page after (or before) a place; without one the first page. Two queries at most."""
    if wanted.numbers:
        rows = Job.objects.filter(pk__in=wanted.numbers[:MOST_NUMBERS])
        return Found(list(rows.order_by(_KEYS[wanted.ordered], *_tie(wanted))))
    driver, rest = _question(wanted)
    key, tie = _KEYS[wanted.ordered], _tie(wanted)[0]
    if before is not None:
        key, tie = _turned(key), _turned(tie)
    ordered = _beyond(driver, key, tie, before or after).order_by(key, tie)
    edge = _edge(ordered, key) if rest else None
    if rest:
        ordered = ordered.filter(*rest)
        if edge is not None:
            ordered = _upto(ordered, key, tie, edge)
    jobs = list(ordered[: size + 1])
    more = len(jobs) > size
    jobs = jobs[:size]
    if before is not None:
        return Found(jobs[::-1], earlier=more or edge is not None, later=True)
    return Found(jobs, earlier=after is not None, later=more, looked_back_to=None if more else edge)


def place_of(wanted: Wanted, job: Job) -> Place:
    """Return the place of a row in the wanted order."""
    return Place(getattr(job, wanted.time), job.pk)


def matching(wanted: Wanted) -> QuerySet[Job]:
    """Return all that is wanted, without order or bound: for acts on all of it, and their count."""
    if wanted.numbers:
        return Job.objects.filter(pk__in=wanted.numbers[:MOST_NUMBERS]).order_by()
    driver, rest = _question(wanted)
    return driver.filter(*rest).order_by()


def _tie(wanted: Wanted) -> tuple[str, ...]:
    return ("-id",) if _KEYS[wanted.ordered].startswith("-") else ("id",)


def _turned(key: str) -> str:
    return key[1:] if key.startswith("-") else f"-{key}"


def _question(wanted: Wanted) -> tuple[QuerySet[Job], list[Q]]:
    """Return what the index answers, and what is left to be asked of each row."""
    rows, asked = _driver(wanted)
    rest: list[Q] = []
    span = {"gte": wanted.since, "lt": wanted.until}
    spans = [(how, at) for how, at in span.items() if at is not None]
    if wanted.batch is None:
        rows = rows.filter(**{f"{wanted.span_of}__{how}": at for how, at in spans})
    elif spans:
        rest += [Q(**{f"plain_time__{how}": at}) for how, at in spans]
        rows = rows.alias(plain_time=Coalesce(wanted.span_of, wanted.span_of))
    # Behind COALESCE a column is no reason for a planner to leave the index that gives the order.
    for name in ("queue", "state"):
        if (value := getattr(wanted, name)) and name not in asked:
            rest.append(Q(**{f"plain_{name}": value}))
            rows = rows.alias(**{f"plain_{name}": Coalesce(name, Value(""), output_field=TextField())})
    about = [(name, getattr(wanted, name)) for name in ("record", "instance") if name not in asked]
    rest += [Q(pk__in=_about(name, value).values("pk")) for name, value in about if value]
    if wanted.error:
        rest.append(Q(error__icontains=wanted.error))
    return rows, rest


def _driver(wanted: Wanted) -> tuple[QuerySet[Job], set[str]]:
    """Return the rows of the index that narrows most, in its order, and which wishes it has answered."""
    rows = Job.objects.all()
    if wanted.batch is not None:
        return rows.filter(batch=wanted.batch), {"batch"}
    for name in ("record", "instance"):
        if value := getattr(wanted, name):
            return _about(name, value), {name}
    if wanted.state in {"in_error", "interrupted", "waiting", "running"}:
        return _of_state(wanted)
    if wanted.error:
        rows = rows.extra(where=["error <> ''"])
    elif wanted.ordered in {"started", "ended"}:
        rows = rows.filter(**{f"{wanted.time}__isnull": False})
    elif wanted.queue:
        return rows.filter(queue=wanted.queue), {"queue"}
    return rows, set()


def _of_state(wanted: Wanted) -> tuple[QuerySet[Job], set[str]]:
    # Written out and not bound: only then the planner knows that the partial index of the state serves.
    rows = Job.objects.extra(where=[f"state = '{wanted.state}'"])  # noqa: S610 one of four words
    if wanted.queue and wanted.state in {"in_error", "interrupted"}:
        return rows.filter(queue=wanted.queue), {"state", "queue"}
    return rows, {"state"}


def _about(name: str, value: str) -> QuerySet[Job]:
    """Return the jobs whose payload names this record or instance."""
    field = _FIELDS[connection.vendor].format(name)
    return Job.objects.extra(where=[f"{field} = %s"], params=[value])  # noqa: S610 constants and a parameter


def _beyond(rows: QuerySet[Job], key: str, tie: str, place: Place | None) -> QuerySet[Job]:
    """Keep what comes after a place in the order of `key` and `tie`."""
    if place is None:
        return rows
    column, down = key.lstrip("-"), key.startswith("-")
    # The first condition is the index's range, the second leaves out what has the same time and came before.
    rows = rows.filter(**{f"{column}__{'lte' if down else 'gte'}": place.value})
    number = {f"id__{'gte' if tie.startswith('-') else 'lte'}": place.job}
    return rows.exclude(Q(**{column: place.value}) & Q(**number))


def _upto(rows: QuerySet[Job], key: str, tie: str, edge: Place) -> QuerySet[Job]:
    """Keep what comes before a place, and the row at that place itself."""
    column, down = key.lstrip("-"), key.startswith("-")
    rows = rows.filter(**{f"{column}__{'gte' if down else 'lte'}": edge.value})
    number = {f"id__{'lt' if tie.startswith('-') else 'gt'}": edge.job}
    return rows.exclude(Q(**{column: edge.value}) & Q(**number))


def _edge(ordered: QuerySet[Job], key: str) -> Place | None:
    """Return the row at which a question stops looking; None where it comes to the end before."""
    found: Any = ordered.values_list(key.lstrip("-"), "pk")[LOOK : LOOK + 1]
    for value, job in found:
        return Place(value, job)
    return None
