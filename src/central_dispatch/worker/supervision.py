"""Tells systemd how the worker is: sd_notify(3), one datagram at a time. Without systemd nobody is told."""

import os
import socket
from contextlib import suppress

from central_dispatch.worker.vitals import Vitals

_SOCKET = "NOTIFY_SOCKET"


class Supervision:
    """Takes the socket's name out of the environment, so that no job speaks in the worker's name."""

    def __init__(self, vitals: Vitals) -> None:
        name = os.environ.pop(_SOCKET, "")
        # "@" stands for the null byte that begins an abstract name.
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        self._vitals = vitals
        self._ready = False

    def alive(self) -> None:
        """Say that the worker works, or for what it waits; ready is also who waits for an absent database."""
        lines = ["WATCHDOG=1", f"STATUS={' '.join(self._status().split())}"]
        if not self._ready:
            lines.append("READY=1")
            self._ready = True
        if self._vitals.draining():
            lines.append("STOPPING=1")
        self._say("\n".join(lines))

    def _status(self) -> str:
        parts = self._vitals.parts
        if parts is None:
            return self._vitals.waits_for
        doing = "draining, " if self._vitals.draining() else ""
        away = f"; the database is away: {parts.desk.down}" if parts.desk.down else ""
        return f"{doing}{parts.crew.busy} of {parts.crew.slots} busy{away}"

    def _say(self, text: str) -> None:
        if not self._address:
            return
        # A supervisor that is gone or does not read is no reason to stop.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.setblocking(False)  # noqa: FBT003 the name says it
            sender.sendto(text.replace("\0", " ").encode()[:4000], self._address)
