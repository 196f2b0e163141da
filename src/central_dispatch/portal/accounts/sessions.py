"""Where logins are kept: a table that knows whose they are, from where, and when they were last seen."""

from datetime import UTC, datetime
from typing import Any, cast

from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.http import HttpRequest
from django.utils import timezone

from central_dispatch.portal.accounts.models import LoginSession

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
