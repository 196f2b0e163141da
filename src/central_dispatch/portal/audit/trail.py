"""Writes the audit trail."""

from typing import Any

from django.utils import timezone

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.audit import acted
from central_dispatch.portal.audit.models import AuditEntry


def write(
    actor: Actor,
    what: str,
    subject: str,
    title: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    **_signal: object,
) -> None:
    """Append one entry, in the caller's transaction if there is one."""
    AuditEntry.objects.create(
        at=timezone.now(),
        who=actor.name[:150],
        via=actor.via,
        address=actor.address[:64],
        what=what[:60],
        subject=subject[:60],
        title=title[:300],
        before=before,
        after=after,
    )


def listen() -> None:
    """Take up what the fleet's services record."""
    acted.connect(write, dispatch_uid="audit-trail", weak=False)
