"""Whether the audit trail is still what was written: each entry's seal, and the last one against the kept head."""

from dataclasses import dataclass

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
    seal, count, met = BEGINNING, 0, not known or known == BEGINNING
    for entry in AuditEntry.objects.order_by("id").iterator(chunk_size=_CHUNK):
        seal = link(seal, entry.at, vars(entry))
        if seal != entry.seal:
            return Broken(entry.pk, "the entry was changed, or one before it was changed, removed or put in")
        count += 1
        met = met or seal == known
    head = AuditHead.objects.filter(pk=1).first()
    if (head.seal if head else BEGINNING) != seal:
        return Broken(None, "the trail does not end as it was left: entries at its end were removed or put in")
    if not met:
        return Broken(None, "the head that was kept is in it no more: the trail was written anew")
    return Whole(count, seal)
