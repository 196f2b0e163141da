"""POST /host/v1/claim: the long poll. While it waits it holds neither a thread nor a database connection."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import close_old_connections
from pydantic import ValidationError

from central_dispatch.fleet.models import Worker
from central_dispatch.fleet.refusal import problems_of
from central_dispatch.fleet.services.claims import claim, has_something
from central_dispatch.fleet.services.hosts import StaleSession, worker_by_credential
from central_dispatch.portal.asgi_messages import (
    BodyTooLarge,
    Receive,
    Scope,
    Send,
    disconnected,
    header,
    read_body,
    respond,
)
from central_dispatch.portal.host_api.views import bearer
from central_dispatch.portal.live.hub import Hub
from central_dispatch.provisioning.protocol import Claim, Claimed

#: A host that waits is looked after this often, in seconds, even if nothing woke it: an order whose answer was lost
#: is due again by time alone. What anybody asks for wakes it (the hub's poller sees other processes' within 0.5 s).
LOOK_S = 5.0
_BODY_LIMIT = 256 * 1024
_BODY_TIMEOUT_S = 10.0
Answer = TypeVar("Answer")


async def long_poll(hub: Hub, threads: ThreadPoolExecutor, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one claim."""
    if scope["method"] != "POST":
        await respond(send, 405, {"title": "Use POST"})
        return
    call = _Call(threads)
    worker = await call(worker_by_credential, bearer(header(scope, b"authorization")))
    if worker is None:
        await respond(send, 401, {"title": "The credential is unknown or was revoked; enrol the host again"})
        return
    try:
        message = Claim.model_validate_json(await read_body(receive, _BODY_LIMIT, _BODY_TIMEOUT_S))
    except ValidationError as error:
        problems = [problem.to_json() for problem in problems_of(error)]
        await respond(send, 400, {"title": "The message is malformed", "problems": problems})
        return
    except BodyTooLarge:
        await respond(send, 413, {"title": "The message is too large"})
        return
    except TimeoutError:
        await respond(send, 408, {"title": "The request did not arrive in time"})
        return
    gone = asyncio.create_task(disconnected(receive))
    try:
        answer = await _wait(hub, call, worker, message, gone)
    finally:
        gone.cancel()
    await _answer(send, answer)


class _Call:
    """Runs a service in one of the claim threads; each keeps one connection for all the hosts that wait."""

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads

    async def __call__(self, service: Callable[..., Answer], *arguments: object) -> Answer:
        def run() -> Answer:
            close_old_connections()
            try:
                return service(*arguments)
            finally:
                close_old_connections()

        return await asyncio.get_running_loop().run_in_executor(self._threads, run)


async def _wait(
    hub: Hub, call: _Call, worker: Worker, message: Claim, gone: "asyncio.Task[None]"
) -> Claimed | StaleSession:
    clock = asyncio.get_running_loop().time
    until = clock() + message.wait_s
    # Subscribed before the first look, so that nothing falls between the two.
    subscription = hub.subscribe([f"orders:{worker.pk}"])
    try:
        answer = await call(claim, worker.pk, message)
        while _is_empty(answer) and clock() < until and not hub.closed and not gone.done():
            await subscription.take(min(LOOK_S, max(until - clock(), 0)))
            if await call(has_something, worker.pk, message):
                answer = await call(_later_look, worker.pk, message)
                if isinstance(answer, StaleSession):
                    # Whoever waits here may be dead, and the new session its successor. One that lives calls again,
                    # and that call tells of two.
                    return Claimed()
        return answer
    finally:
        hub.leave(subscription)


def _later_look(worker_id: str, message: Claim) -> Claimed | StaleSession:
    return claim(worker_id, message, first_look=False)


def _is_empty(answer: Claimed | StaleSession) -> bool:
    return isinstance(answer, Claimed) and not answer.orders and not answer.wishes


async def _answer(send: Send, answer: Claimed | StaleSession) -> None:
    if isinstance(answer, Claimed):
        await respond(send, 200, answer.model_dump_json().encode())
        return
    title = "A newer session has replaced this one; stop this host worker"
    await respond(send, 409, {"title": title, "session": answer.session, "alert": answer.alert})
