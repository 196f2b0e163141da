"""The dispatcher's process: one uvicorn server over TLS, stopped by SIGTERM or SIGINT."""

import signal
import socket
from collections.abc import Callable
from typing import Protocol

import uvicorn

from central_dispatch.portal.first_start import Started, first_start
from central_dispatch.portal.tls import certificate_path, key_path

__all__ = ["Started", "first_start", "serve"]
DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8700
#: How long a stop waits for requests under way, in seconds. Long polls and live pages are told at once.
GRACE_S = 5


class Closing(Protocol):
    """An application that can let its waiting callers go."""

    def close(self) -> None:
        """End every long poll and live stream."""


def serve(host: str = DEFAULT_HOST, port: int = DEFAULT_PORT, ready: Callable[[str], None] = lambda _url: None) -> int:
    """Serve until told to stop; return the exit status. `ready` gets the address once it answers; port 0: a free one.

    `first_start` must have been called. Raises OSError when the address is taken.
    """
    from central_dispatch.portal.asgi import Application  # noqa: PLC0415 Django is ready only now

    listener = _listen(host, port)
    application = Application()
    config = uvicorn.Config(
        application,
        ssl_keyfile=str(key_path()),
        ssl_certfile=str(certificate_path()),
        log_config=None,
        access_log=False,
        # Addresses count for throttling and audit: what a client says about itself is not believed.
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=65_536,
    )
    url = f"https://{host if ':' not in host else f'[{host}]'}:{listener.getsockname()[1]}"
    server = _Server(config, application, lambda: ready(url))
    # uvicorn raises the signal once more after its shutdown; by then it has done its work.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[listener])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


class _Server(uvicorn.Server):
    """Says when it answers, and lets those who wait go before it stops."""

    def __init__(self, config: uvicorn.Config, application: Closing, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._application = application
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then tell the caller."""
        await super().startup(sockets=sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the long polls and the live streams first: they would wait for their time otherwise."""
        self._application.close()
        await super().shutdown(sockets=sockets)
