"""Writes the audit trail."""

import json
from typing import Any

from axes.signals import user_locked_out
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from central_dispatch.fleet.actor import NO_ROLE, Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.audit import acted
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.audit.chain import BEGINNING, link
from central_dispatch.portal.audit.models import AuditEntry, AuditHead


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
    values = {
        "who": actor.name[:150],
        "via": actor.via,
        "address": actor.address[:64],
        "what": what[:60],
        "subject": subject[:60],
        "title": title[:300],
        # As they will be read again, so that the seal fits then.
        "before": json.loads(json.dumps(before)),
        "after": json.loads(json.dumps(after)),
    }
    now = timezone.now()
    with transaction.atomic():
        head, _ = AuditHead.objects.select_for_update().get_or_create(pk=1, defaults={"seal": BEGINNING})
        head.seal = link(head.seal, now, values)
        AuditEntry.objects.create(at=now, seal=head.seal, **values)
        head.save(update_fields=["seal"])
        announce("audit")


def listen() -> None:
    """Take up what the fleet's services record, and who comes and goes."""
    acted.connect(write, dispatch_uid="audit-trail", weak=False)
    user_logged_in.connect(_came, dispatch_uid="audit-trail", weak=False)
    user_logged_out.connect(_went, dispatch_uid="audit-trail", weak=False)
    user_locked_out.connect(_locked_out, dispatch_uid="audit-trail", weak=False)


def _came(request: HttpRequest, user: User, **_signal: object) -> None:
    _at_the_door(request, user.username, "login")


def _went(request: HttpRequest, user: User | None, **_signal: object) -> None:
    if user is not None:
        _at_the_door(request, user.username, "logout")


def _locked_out(request: HttpRequest, username: str | None, **_signal: object) -> None:
    _at_the_door(request, username or "", "login.locked_out")


def _at_the_door(request: HttpRequest | None, name: str, what: str) -> None:
    address = request.META.get("REMOTE_ADDR", "") if request is not None else ""
    write(Actor(name or "?", NO_ROLE, address=address), what, f"user:{name}")
