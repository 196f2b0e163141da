"""The dispatcher as one ASGI application: Django in a fixed thread pool, the live edge native and async."""

import asyncio
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from a2wsgi import WSGIMiddleware
from django.core.wsgi import get_wsgi_application

from central_dispatch.fleet.announce import announced
from central_dispatch.portal.asgi_messages import (
    BodyTooLarge,
    ClientGone,
    Message,
    Receive,
    Scope,
    Send,
    read_body,
    respond,
)
from central_dispatch.portal.host_api.long_poll import long_poll
from central_dispatch.portal.live.changes import Watch, prune
from central_dispatch.portal.live.hub import Hub
from central_dispatch.portal.live.stream import stream

#: Django's threads. Each keeps one database connection.
THREADS = 8
#: The largest request that is taken, in bytes; Django's own limit is below it, so that it answers in its own words.
BODY_LIMIT = 6 * 1024 * 1024
BODY_TIMEOUT_S = 30.0
PRUNE_EVERY_S = 300.0
_log = logging.getLogger(__name__)


class Application:
    """Routes a request to Django or to one of the two native routes."""

    def __init__(self) -> None:
        """Django must be ready."""
        self._hub = Hub(Watch())
        django: Any = get_wsgi_application()
        self._django = WSGIMiddleware(django, workers=THREADS)
        self._claims = ThreadPoolExecutor(max_workers=4, thread_name_prefix="claim")
        #: The addresses that Django does not see; each checks who calls by itself.
        self.native = {"/live": self._stream, "/host/v1/claim": self._long_poll}
        self._pruning: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection's request, or the server's own life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._route(scope, receive, send)

    def close(self) -> None:
        """End every long poll and live stream. From the event loop's thread."""
        self._hub.close()

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        with contextlib.suppress(ClientGone):
            await self.native.get(scope["path"], self._to_django)(scope, receive, send)

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        await stream(self._hub, scope, receive, send)

    async def _long_poll(self, scope: Scope, receive: Receive, send: Send) -> None:
        await long_poll(self._hub, self._claims, scope, receive, send)

    async def _to_django(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole request first: a slow sender must not hold one of the few threads."""
        try:
            body = await read_body(receive, BODY_LIMIT, BODY_TIMEOUT_S)
        except BodyTooLarge:
            await respond(send, 413, {"title": f"A request may have at most {BODY_LIMIT} bytes"})
            return
        except TimeoutError:
            await respond(send, 408, {"title": "The request did not arrive in time"})
            return
        waiting = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return waiting.pop() if waiting else await receive()

        application: Any = self._django
        await application(scope, replay, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        announced.connect(self._wake, weak=False, dispatch_uid=self)
        await self._hub.start()
        self._pruning = asyncio.create_task(_prune_now_and_then())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self._pruning.cancel()
        await self._hub.stop()
        announced.disconnect(dispatch_uid=self)
        self._claims.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    def _wake(self, **_signal: object) -> None:
        self._hub.wake()


async def _prune_now_and_then() -> None:
    while True:
        try:
            await asyncio.to_thread(prune)
        except Exception:  # noqa: BLE001 old hints do no harm; the next turn takes them
            _log.exception("old changes could not be removed")
        await asyncio.sleep(PRUNE_EVERY_S)
