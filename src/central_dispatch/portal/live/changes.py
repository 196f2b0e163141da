"""Reads and prunes the change rows."""

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


def look(after: int | None) -> list[Hint]:
    """Return the changes after a number, at most 1,000; for None the latest one alone."""
    close_old_connections()
    rows = Change.objects.values_list("id", "topic")
    if after is None:
        latest = rows.order_by("-id").first()
        return [latest] if latest else []
    return list(rows.filter(id__gt=after).order_by("id")[:_AT_ONCE])


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
