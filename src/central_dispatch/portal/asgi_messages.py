"""The few ASGI messages that the native routes speak."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
_HEADERS = {"x-content-type-options": "nosniff", "cache-control": "no-store"}


class BodyTooLarge(Exception):
    """A request's body is larger than what its route takes."""


class ClientGone(Exception):
    """The client went away in the middle of its request."""


def header(scope: Scope, name: bytes) -> str:
    """Return a request's header, lower-case name; empty: it has none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def read_body(receive: Receive, limit: int, timeout_s: float) -> bytes:
    """Read a request's whole body, at most `limit` bytes within `timeout_s` seconds (TimeoutError)."""
    body = bytearray()
    async with asyncio.timeout(timeout_s):
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            body += message.get("body", b"")
            if len(body) > limit:
                raise BodyTooLarge
            if not message.get("more_body", False):
                return bytes(body)


async def disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def start(send: Send, status: int, content_type: str, headers: dict[str, str] | None = None) -> None:
    """Begin a response."""
    lines = {**_HEADERS, "content-type": content_type, **(headers or {})}
    raw = [(name.encode(), value.encode()) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})


async def respond(send: Send, status: int, value: dict[str, Any] | bytes) -> None:
    """Send a whole JSON response; from 400 on it is a problem document (RFC 9457)."""
    content_type = "application/problem+json" if status >= 400 else "application/json"  # noqa: PLR2004 HTTP
    if isinstance(value, dict) and status >= 400:  # noqa: PLR2004 likewise
        value = {"status": status, **value}
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    await start(send, status, content_type, {"content-length": str(len(body))})
    await send({"type": "http.response.body", "body": body, "more_body": False})
