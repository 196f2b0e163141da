"""What an address asks of the list of jobs, and the addresses of its neighbours."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db.models import Q
from django.http import QueryDict

from central_dispatch.fleet.models import Instance
from central_dispatch.worker_manager.job_search import MOST_NUMBERS, ORDERS, Place, Wanted

#: The spans of time that the list offers, by their name in the address.
SPANS = {
    "15m": (timedelta(minutes=15), "15 minutes"),
    "1h": (timedelta(hours=1), "hour"),
    "6h": (timedelta(hours=6), "6 hours"),
    "1d": (timedelta(days=1), "24 hours"),
    "3d": (timedelta(days=3), "3 days"),
    "7d": (timedelta(days=7), "7 days"),
    "30d": (timedelta(days=30), "30 days"),
}
#: What the address may carry; everything else is dropped from the links that are made of it.
FILTERS = ("state", "queue", "q", "record", "instance", "batch", "order", "span", "from", "to")
#: What people call the filters.
LABELS = {
    "state": "State",
    "queue": "Queue",
    "q": "Error text or number",
    "record": "Record",
    "instance": "Instance",
    "batch": "Batch",
    "span": "Within",
    "from": "From",
    "to": "Until",
}
_LARGEST = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Asked:
    """What an address asks: the jobs wanted, and the place in the list."""

    wanted: Wanted
    values: dict[str, str]  # the filters as they were typed, those that are set
    after: Place | None = None
    before: Place | None = None
    held: tuple[int, ...] = ()  # these rows again, whatever the filters say: something is selected
    unread: tuple[str, ...] = ()  # filters whose text cannot be read: the list passes them over, and no act may

    def address(self, **changes: str) -> str:
        """Return the query of this list with some filters changed (empty: without it), at its first page."""
        query = QueryDict(mutable=True)
        for name, value in {**self.values, **changes}.items():
            if value:
                query[name] = value
        return f"?{query.urlencode()}"

    def page(self, side: str, place: Place) -> str:
        """Return the query of the page `after` or `before` a place."""
        return self.address(**{side: _written(place)})

    @property
    def here(self) -> str:
        """The query of this very page."""
        if self.after is not None:
            return self.page("after", self.after)
        return self.page("before", self.before) if self.before is not None else self.address()

    @property
    def narrowed(self) -> bool:
        """Something besides state and order is asked for."""
        return any(name not in {"state", "order"} for name in self.values)

    @property
    def idle(self) -> frozenset[str]:
        """Filters that are set and do not count beside another one that is set."""
        if self.wanted.numbers:
            return frozenset(self.values) - {"q"}  # a job that is named by its number is shown, whatever else is asked
        return frozenset({"span"} & self.values.keys()) if _moment(self.values.get("from", "")) else frozenset()


def asked(query: QueryDict, now: datetime) -> Asked:
    """Read an address. What cannot be read is passed over, and said: a bad link shows a longer list."""
    # PostgreSQL takes no NUL in a text, so that none holds one.
    values = {name: value for name in FILTERS if (value := query.get(name, "").replace("\0", "").strip()[:200])}
    if values.get("state") not in ORDERS:
        values.pop("state", None)
    wanted = _wanted(values, now)
    return Asked(
        wanted,
        values,
        after=_place(query.get("after", ""), wanted),
        before=_place(query.get("before", ""), wanted),
        held=numbers(query.get("held", "").split(",")),
        unread=_unread(values),
    )


def numbers(texts: list[str]) -> tuple[int, ...]:
    """Return the jobs' numbers among some texts."""
    return tuple(dict.fromkeys(number for text in texts if (number := _number(text)) is not None))[:MOST_NUMBERS]


def _unread(values: dict[str, str]) -> tuple[str, ...]:
    """Return the filters that are set and cannot be read."""
    reads: dict[str, Callable[[str], object]] = {"batch": _number, "from": _moment, "to": _moment, "span": SPANS.get}
    return tuple(name for name, read in reads.items() if name in values and read(values[name]) is None)


def _wanted(values: dict[str, str], now: datetime) -> Wanted:
    text = values.get("q", "")
    job = _number(text.removeprefix("#"))
    span = SPANS.get(values.get("span", ""))
    wanted = Wanted(
        state=values.get("state", ""),
        queue=values.get("queue", ""),
        record=values.get("record", ""),
        instance=_instance(values.get("instance", "")),
        error="" if job is not None else text,
        batch=_number(values.get("batch", "")),
        order=values.get("order", ""),
        since=_moment(values.get("from", "")),
        until=_moment(values.get("to", "")),
        numbers=(job,) if job is not None else (),
    )
    if span is None or wanted.since is not None:
        return wanted
    # What is still to come is looked for ahead of now.
    ahead = wanted.span_of in {"due_at", "expires_at"}
    bounds = {"until": now + span[0]} if ahead else {"since": now - span[0]}
    return Wanted(**{name: getattr(wanted, name) for name in Wanted.__slots__} | bounds)


def _instance(text: str) -> str:
    """Return the id of the instance that a person names by id or name; what is neither finds nothing."""
    if not text:
        return ""
    found = Instance.objects.filter(Q(pk=text) | Q(name=text)).order_by("-created_at")
    return found.values_list("pk", flat=True).first() or text


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) < 20):  # noqa: PLR2004 64 bits
        return None
    return min(int(text), _LARGEST)


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _written(place: Place) -> str:
    value = place.value if isinstance(place.value, int) else place.value.isoformat()
    return f"{value}~{place.job}"


def _place(text: str, wanted: Wanted) -> Place | None:
    value, _, number = text.partition("~")
    job = _number(number)
    read = _number(value) if wanted.ordered == "number" else _moment(value)
    return Place(read, job) if job is not None and read is not None else None
