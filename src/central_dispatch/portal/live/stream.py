"""GET /live: server-sent events. They carry hints; the pages fetch what they show."""

import asyncio
import re
from urllib.parse import parse_qs

from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest, parse_cookie

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.permissions import may
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.accounts.sessions import SessionStore
from central_dispatch.portal.asgi_messages import Receive, Scope, Send, disconnected, header, respond, start
from central_dispatch.portal.live.changes import missed
from central_dispatch.portal.live.hub import Hint, Hub

#: A comment this often, in seconds, keeps proxies from closing a quiet stream.
HEARTBEAT_S = 15.0
#: The session is looked at again this often, in seconds: a person who logged out is told nothing more.
CHECK_S = 60.0
#: The browser comes back after this, in milliseconds.
RETRY_MS = 2000
_MOST_TOPICS = 50
_TOPIC = re.compile(
    r"workers|instances|runs|audit|accounts|settings|jobs|queues|parents|batches"
    r"|(?:worker|instance|run):[0-9a-f]{32}|(?:job|batch):[0-9]{1,18}"
)

_JOBS = ("jobs", "job", "queues", "parents", "batches", "batch")
_ACTS = {"audit": "audit.view", "accounts": "account.own"} | dict.fromkeys(_JOBS, "jobs.view")


async def stream(hub: Hub, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one browser until it goes, its session ends, or the server stops."""
    if scope["method"] != "GET":
        await respond(send, 405, {"title": "Use GET"})
        return
    topics, after = _asked(scope)
    actor = await asyncio.to_thread(_actor, scope)
    if actor is None:
        await respond(send, 403, {"title": "Log in first"})
        return
    if not topics or len(topics) > _MOST_TOPICS or not all(map(_TOPIC.fullmatch, topics)):
        await respond(send, 400, {"title": "Name 1 to 50 topics, such as topic=instances"})
        return
    if not all(may(actor, act_of(topic)) for topic in topics):
        await respond(send, 403, {"title": "Your roles do not show you all of this"})
        return
    gone = asyncio.create_task(disconnected(receive))
    try:
        await _send_hints(hub, frozenset(topics), after, scope, gone, send)
    finally:
        gone.cancel()


async def _send_hints(
    hub: Hub, topics: frozenset[str], after: int | None, scope: Scope, gone: "asyncio.Task[None]", send: Send
) -> None:
    await start(send, 200, "text/event-stream", {"cache-control": "no-store", "x-accel-buffering": "no"})
    # Subscribed before the look back, so that nothing falls between the two.
    subscription = hub.subscribe(topics)
    try:
        await _write(send, f"retry: {RETRY_MS}\n\n")
        if after is not None:
            await _write(send, _events(await asyncio.to_thread(missed, after, topics)))
        clock = asyncio.get_running_loop().time
        check_at = clock() + CHECK_S
        while not hub.closed and not gone.done():
            hints = await subscription.take(HEARTBEAT_S)
            await _write(send, _events(hints) or ": here\n\n")
            if clock() >= check_at:
                if await asyncio.to_thread(_actor, scope) is None:
                    break
                check_at = clock() + CHECK_S
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        hub.leave(subscription)


async def _write(send: Send, text: str) -> None:
    if text:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _events(hints: list[Hint]) -> str:
    return "".join(f"id: {number}\nevent: change\ndata: {topic}\n\n" for number, topic in hints)


def _asked(scope: Scope) -> tuple[list[str], int | None]:
    query = parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=200)
    # `since` is for a page's first connection: the number of the latest change when it was rendered.
    last = header(scope, b"last-event-id") or query.get("since", [""])[0]
    after = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else None  # noqa: PLR2004 64 bits
    return list(dict.fromkeys(query.get("topic", []))), after


def act_of(topic: str) -> str:
    """Return the act that it takes to be told of a topic."""
    kind = topic.partition(":")[0]
    return _ACTS.get(kind, "fleet.view")


def _actor(scope: Scope) -> Actor | None:
    """Return whoever holds the session cookie; None for nobody."""
    close_old_connections()
    key = parse_cookie(header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME)
    request = HttpRequest()
    request.session = SessionStore(key)
    user = get_user(request)
    return user.actor("page", "") if isinstance(user, User) and user.is_active else None
