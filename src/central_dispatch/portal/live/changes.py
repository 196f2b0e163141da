"""Reads and prunes the change rows."""

import time
from datetime import timedelta
from typing import Any

from django.db import close_old_connections
from django.db.models import QuerySet
from django.utils import timezone

from central_dispatch.fleet.models import Change
from central_dispatch.portal.accounts.models import LoginSession
from central_dispatch.portal.live.hub import Hint

#: Changes are kept this long: a page that was away for longer looks at everything anew.
KEPT = timedelta(hours=1)
_AT_ONCE = 1000
_CHUNK = 500
#: No transaction of ours is open for longer, in seconds.
_LATE_S = 20.0
_MOST_MISSING = 500


def look(after: int | None) -> list[Hint]:
    """Return the changes after a number, at most 1,000; for None the latest one alone."""
    close_old_connections()
    rows = Change.objects.values_list("id", "topic")
    if after is None:
        latest = rows.order_by("-id").first()
        return [latest] if latest else []
    return list(rows.filter(id__gt=after).order_by("id")[:_AT_ONCE])


class Watch:
    """Looks again and again, and sees what was committed late, too.

    On a server a change may be committed after one with a higher number. A number that is missing is looked for until
    it is older than any transaction; those of changes that were undone or removed never come.
    """

    def __init__(self) -> None:
        self._missing: dict[int, float] = {}  # since when

    def __call__(self, after: int | None) -> list[Hint]:
        """Return the changes after a number and those that came late, at most 1,000; for None the latest one alone."""
        fresh = look(after)
        if after is None:
            return fresh
        late = self._late()
        now = time.monotonic()
        last = after
        for number, _ in fresh:
            self._missing.update(dict.fromkeys(range(max(last + 1, number - _MOST_MISSING), number), now))
            last = number
        return sorted([*late, *fresh])

    def _late(self) -> list[Hint]:
        oldest = time.monotonic() - _LATE_S
        self._missing = {number: since for number, since in self._missing.items() if since > oldest}
        wanted = list(self._missing)[-_MOST_MISSING:]
        found = list(Change.objects.filter(pk__in=wanted).values_list("id", "topic")) if wanted else []
        for number, _ in found:
            del self._missing[number]
        return found


def missed(after: int, topics: frozenset[str]) -> list[Hint]:
    """Return what changed under these topics since a number; each of them where that is no longer known."""
    close_old_connections()
    oldest = Change.objects.order_by("id").values_list("id", flat=True).first()
    if oldest is None or after < oldest - 1:
        return [(after, topic) for topic in sorted(topics)]
    rows = Change.objects.filter(id__gt=after, topic__in=topics).order_by("id").values_list("topic", "id")
    return sorted((number, topic) for topic, number in dict(rows).items())


def prune() -> None:
    """Remove what is of no use any more: changes of more than an hour ago, sessions that have run out."""
    close_old_connections()
    now = timezone.now()
    _remove(Change.objects.filter(at__lt=now - KEPT))
    _remove(LoginSession.objects.filter(expire_date__lt=now))


def _remove(rows: "QuerySet[Any]") -> None:
    """Remove rows in chunks, each a short transaction."""
    while keys := list(rows.values_list("pk", flat=True)[:_CHUNK]):
        rows.model._default_manager.filter(pk__in=keys).delete()  # noqa: SLF001 Django's public name for it
