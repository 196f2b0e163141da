"""Where logins are kept: a table that knows whose they are, from where, and when they were last seen."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, forbidden
from central_dispatch.fleet.secret_text import digest
from central_dispatch.portal.accounts.models import LoginSession, User

#: The last use is noted this often, in seconds; at each request it would make every page a write.
NOTED_EVERY_S = 300
_ADDRESS, _AGENT, _SEEN = "address", "agent", "seen"


class SessionStore(DatabaseStore):
    """Django's database sessions, in our own table (`SESSION_ENGINE`)."""

    @classmethod
    def get_model_class(cls) -> type[LoginSession]:
        """Return the table."""
        return LoginSession

    def create_model_instance(self, data: dict[str, Any]) -> LoginSession:
        """Return the row for this content."""
        row = cast("LoginSession", super().create_model_instance(data))
        row.user_id = data.get("_auth_user_id")
        row.address, row.agent = data.get(_ADDRESS, ""), data.get(_AGENT, "")
        row.came_at = datetime.fromtimestamp(data.get("came", timezone.now().timestamp()), tz=UTC)
        return row


def note_use(request: HttpRequest) -> None:
    """Remember from where and when the session was last used."""
    session, now = request.session, timezone.now().timestamp()
    if now - session.get(_SEEN, 0) > NOTED_EVERY_S:
        session.setdefault("came", now)
        session[_SEEN] = now
        session[_ADDRESS] = request.META.get("REMOTE_ADDR", "")[:64]
        session[_AGENT] = request.headers.get("User-Agent", "")[:200]


@dataclass(frozen=True, slots=True)
class Shown:
    """A session as it is listed. `id` names it and opens nothing."""

    id: str
    came_at: datetime
    seen_at: datetime
    address: str
    agent: str
    is_this: bool


def of(user: User, this: str | None = None) -> list[Shown]:
    """Return a person's sessions, the one last seen first; `this` is the key of the one that asks."""
    rows = LoginSession.objects.filter(user=user, expire_date__gt=timezone.now())
    return [
        Shown(_id(row.session_key), row.came_at, row.seen_at, row.address, row.agent, row.session_key == this)
        for row in rows
    ]


def end(by: Actor, user: User, session_id: str = "") -> int | Refused:
    """End one of a person's sessions, or all of them; returns how many. One's own, or an administrator's act."""
    if not may(by, "account.own" if by.user_id == user.pk else "account.sessions"):
        return forbidden("sessions of others are ended by administrators")
    with transaction.atomic():
        rows = [row for row in user.login_sessions.all() if not session_id or _id(row.session_key) == session_id]
        LoginSession.objects.filter(pk__in=[row.pk for row in rows]).delete()
        if rows:
            audit.record(
                by, "account.sessions", f"user:{user.username}"[:60], title=user.username, after={"ended": len(rows)}
            )
            announce("accounts")
    return len(rows)


def end_others(user: User, this: str | None) -> None:
    """End all sessions of a person but one, in the caller's act."""
    user.login_sessions.exclude(pk=this or "").delete()


def _id(session_key: str) -> str:
    return digest(session_key)[:32]
