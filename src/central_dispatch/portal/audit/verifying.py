"""Whether the audit trail is still what was written: each entry's seal, and the last one against the kept head."""

from dataclasses import dataclass

from django.db import transaction
from django.db.models import QuerySet

from central_dispatch.portal.audit.chain import BEGINNING, link
from central_dispatch.portal.audit.models import AuditEntry, AuditHead

_CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Whole:
    """All entries fit. Whoever keeps `head` elsewhere can show later that nothing before it was changed."""

    entries: int
    head: str


@dataclass(frozen=True, slots=True)
class Broken:
    """`entry` is the first that does not fit (None: the end of the trail)."""

    entry: int | None
    why: str


def verify(known: str = "") -> Whole | Broken:
    """Check the whole trail. `known`: a head that was kept; it must be one of the seals."""
    walk = _Walk(met=known in {"", BEGINNING})
    broken = walk.over(AuditEntry.objects.order_by("id"), known)
    if broken is None:
        # The end is looked at while nobody writes: with the head held, as its writers hold it.
        with transaction.atomic():
            head = AuditHead.objects.select_for_update().filter(pk=1).first()
            broken = walk.over(AuditEntry.objects.filter(pk__gt=walk.last).order_by("id"), known)
    if broken is not None:
        return broken
    if (head.seal if head else BEGINNING) != walk.seal:
        return Broken(None, "the trail does not end as it was left: entries at its end were removed or put in")
    if not walk.met:
        return Broken(None, "the head that was kept is in it no more: the trail was written anew")
    return Whole(walk.count, walk.seal)


@dataclass(slots=True)
class _Walk:
    """How far the trail was read: the seal, number and count of its entries, and whether the known seal was met."""

    met: bool
    seal: str = BEGINNING
    last: int = 0
    count: int = 0

    def over(self, entries: "QuerySet[AuditEntry]", known: str) -> Broken | None:
        """Read on; return what does not fit."""
        for entry in entries.iterator(chunk_size=_CHUNK):
            self.seal = link(self.seal, entry.at, vars(entry))
            if self.seal != entry.seal:
                return Broken(entry.pk, "the entry was changed, or one before it was changed, removed or put in")
            self.last, self.count = entry.pk, self.count + 1
            self.met = self.met or self.seal == known
        return None
