"""A queue worker's two pages, /metrics and /healthz, on an address or a socket, from threads of their own.

They read what the worker's parts say of themselves, so a scraper that hangs or floods costs the worker nothing.
"""

import json
import logging
import os
import socket
import socketserver
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from central_dispatch.jobs.ports import Broker, Store, StoreDown
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker.health import health
from central_dispatch.worker.metrics import CONTENT_TYPE, Metrics
from central_dispatch.worker.vitals import Vitals

#: How often the queues' depths are read, in seconds: it counts rows.
DEPTHS_S = 15.0
#: A caller that says nothing for so long is let go, in seconds; and so many are heard at once.
_SILENT_S = 5.0
_MOST = 16
_UNIX = "unix:"
_log = logging.getLogger(__name__)
Page = tuple[int, str, bytes]


class Monitor:
    """Listens from its construction on; `start` answers."""

    def __init__(self, address: str, store: Store, broker: Broker, vitals: Vitals) -> None:
        """Bind `address`: HOST:PORT, [IPv6]:PORT, or unix:PATH. `OSError`: it is taken; `ValueError`: it is none."""
        self._store = store
        self._broker = broker
        self._vitals = vitals
        self._metrics = Metrics(vitals, broker)
        self._over = threading.Event()
        self._path = Path(address.removeprefix(_UNIX)) if address.startswith(_UNIX) else None
        listener = _listen_at(self._path) if self._path else _listen_on(*parsed(address))
        self._server = _Server(listener, self._page)
        self._threads = [
            threading.Thread(target=self._server.serve_forever, name="monitor", daemon=True),
            threading.Thread(target=self._read_depths, name="depths", daemon=True),
        ]

    @property
    def address(self) -> str:
        """Return where it listens, with the port that port 0 became."""
        if self._path:
            return f"{_UNIX}{self._path}"
        host, port = self._server.socket.getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def start(self) -> None:
        """Begin to answer."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Stop answering."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
        if self._path:
            self._path.unlink(missing_ok=True)

    def _page(self, path: str) -> Page:
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, self._metrics.page()
        if path == "/healthz":
            found = health(self._vitals, self._broker.problem(), time.monotonic())
            return found.code, "application/json", json.dumps(found.to_json(), ensure_ascii=False).encode()
        return HTTPStatus.NOT_FOUND, "text/plain", b"There are /metrics and /healthz.\n"

    def _read_depths(self) -> None:
        """Read the depths now and then; without the database there are none, rather than old ones."""
        known: tuple[str, ...] = ()
        while not self._over.wait(DEPTHS_S if known else 0.5):
            parts = self._vitals.parts
            queues = parts.desk.queues if parts else ()
            try:
                self._metrics.depths = self._store.depths(queues, datetime.now(UTC)) if queues else None
            except StoreDown:
                self._metrics.depths = None
            except Exception:  # noqa: BLE001 whatever it is, the next look follows
                self._metrics.depths = None
                _log.exception("cannot read the queues' depths")
            if queues != known:
                self._metrics.know(queues)
            known = queues


class _Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    """A thread for each caller, of which there are few."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, page: Callable[[str], Page]) -> None:
        super().__init__(listener.getsockname(), _Handler)
        self.socket = listener
        self.page = page
        self._room = threading.BoundedSemaphore(_MOST)

    def fileno(self) -> int:
        """Return the descriptor that `serve_forever` selects on."""
        return self.socket.fileno()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a caller."""
        caller, address = self.socket.accept()
        caller.settimeout(_SILENT_S)
        return caller, address or "local"

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ANN401, ARG002 the library's signature
        """Say whether there is room for this caller."""
        return self._room.acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 likewise
        """Give a caller its thread; where none can be made, its room is free again."""
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 likewise
        """Answer one caller, and make room."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401 likewise
        """Let a caller go."""
        with suppress(OSError):
            request.shutdown(socket.SHUT_WR)
        request.close()

    def server_close(self) -> None:
        """Stop listening."""
        self.socket.close()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 likewise
        """Say nothing of callers that go away, and little of anything else."""
        _log.debug("a caller of the monitor was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "central-dispatch"
    sys_version = ""
    protocol_version = "HTTP/1.0"
    timeout = _SILENT_S

    def do_GET(self) -> None:
        """Answer one of the two pages."""
        code, content_type, body = self.server.page(self.path.partition("?")[0])
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 the library's signature
        """Keep each scrape out of the log."""


def listening(address: str, store: Store, broker: Broker, vitals: Vitals) -> Monitor | Problem:
    """Return a monitor that listens, or say why it cannot."""
    try:
        return Monitor(address, store, broker, vitals)
    except OSError as error:
        why = error.strerror or str(error)
        return Problem(f"Cannot listen on {address}", why, "Free that address, or name another one.", "listen")
    except ValueError as error:
        return Problem(
            f"“{address}” is no address", str(error), "Write 127.0.0.1:9464, [::1]:9464 or unix:/PATH.", "listen"
        )


def parsed(address: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [IPv6]:PORT; `ValueError` says what is wrong."""
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host:
        raise ValueError("it has no host, or no port")
    if not (port.isascii() and port.isdigit()) or int(port) > 65535:  # noqa: PLR2004 the highest port
        raise ValueError(f"“{port}” is no port")
    return host, int(port)


def _listen_on(host: str, port: int) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, place = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(place)
        listener.listen(_MOST)
    except BaseException:
        listener.close()
        raise
    return listener


def _listen_at(path: Path) -> socket.socket:
    """Bind a socket for this user and its group; one that a dead worker left is taken away."""
    with suppress(FileNotFoundError):
        if stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path):
            path.unlink()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o117)
    try:
        listener.bind(str(path))
        listener.listen(_MOST)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
