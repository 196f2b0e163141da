"""Bells between the processes of one machine: a datagram socket per listening parent, in a private directory.

A datagram is one queue's name. The kernel keeps some hundred unread; more than that and the listener has bells
enough, so a full buffer is as good as a delivery.
"""

import contextlib
import errno
import logging
import os
import secrets
import socket
import stat
import threading
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from central_dispatch.jobs.ports import DeadLetter

_SUFFIX = ".bell"
_MOST_BYTES = 200  # a queue's name is shorter
_MOST_AT_ONCE = 1000  # bells read before they are heard, or endless ringing would never be
#: An address of a Unix socket has 107 bytes at most: a longer directory is reached through its open descriptor.
_LONGEST_ADDRESS = 107
_log = logging.getLogger(__name__)


class EmbeddedBroker:
    """Rings and listens. Thread-safe. Needs no process of its own, and keeps nothing."""

    def __init__(self, directory: Path) -> None:
        """`directory` is the bells' own; it is made at the first use, for its owner alone."""
        self._directory = directory
        self._lock = threading.Lock()
        self._sender: socket.socket | None = None
        self._folder: int | None = None
        self._listener: _Listener | None = None
        self._closed = False

    def ring(self, queues: Collection[str]) -> None:
        """Tell every listening parent of the machine. Never blocks and never raises: parents look by themselves."""
        try:
            with self._lock:
                if not self._closed:
                    self._ring([queue.encode()[:_MOST_BYTES] for queue in dict.fromkeys(queues)])
        except OSError as error:
            _log.warning("bells cannot be rung in %s, jobs start up to a second later: %s", self._directory, error)

    def listen(self, queues: Collection[str], heard: Callable[[str], None]) -> None:
        """Call `heard(queue)` from a thread of our own for each bell of these queues, until `close`.

        Bells that wait together are heard once for each queue. `OSError` where the directory cannot be used.
        Called again, these queues and this `heard` take the place of those before.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("this broker is closed")
            if self._listener is not None:
                self._listener.follow(frozenset(queues), heard)
                return
            folder = self._open_folder()
            address = _address(self._directory, folder, f"{os.getpid()}-{secrets.token_hex(8)}")
            self._listener = _Listener(address, frozenset(queues), heard)

    def call(self, queues: Collection[str]) -> None:
        """Tell all listening parents, as every bell does here."""
        self.ring(queues)

    def looked(self, queue: str) -> None:
        """Nothing is acknowledged here: every listener has its own bell."""

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Keep no copy: the rows are on the same machine."""

    def problem(self) -> str:
        """Return nothing: there is no connection that could be lost."""
        return ""

    def close(self) -> None:
        """Stop listening and ringing. Idempotent."""
        with self._lock:
            self._closed = True
            listener, self._listener = self._listener, None
            if self._sender is not None:
                self._sender.close()
                self._sender = None
        if listener is not None:
            listener.close()
        with self._lock:
            if self._folder is not None:
                os.close(self._folder)
                self._folder = None

    def _ring(self, messages: list[bytes]) -> None:
        folder = self._open_folder()
        if self._sender is None:
            self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        for name in os.listdir(folder):  # noqa: PTH208 by its descriptor
            if name.endswith(_SUFFIX):
                self._ring_one(self._sender, folder, name, messages)

    def _ring_one(self, sender: socket.socket, folder: int, name: str, messages: list[bytes]) -> None:
        address = _address(self._directory, folder, name)
        for message in messages:
            try:
                sender.sendto(message, socket.MSG_DONTWAIT, address)
            except (BlockingIOError, FileNotFoundError):
                return  # it has bells enough; or it went just now
            except ConnectionRefusedError:
                # Nobody will ever read there: its process died before it could remove it.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=folder)
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    _log.warning("the bell %s cannot be rung: %s", name, error)
                return

    def _open_folder(self) -> int:
        """Open the directory once; it must be ours alone, as whoever can write it can read and swallow bells."""
        if self._folder is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            found = os.fstat(folder)
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022:
                os.close(folder)
                raise PermissionError(
                    errno.EPERM,
                    "others may write the directory; make it this user's own with mode 0700",
                    str(self._directory),
                )
            self._folder = folder
        return self._folder


def _address(directory: Path, folder: int, name: str) -> str:
    plain = str(directory / name)
    return plain if len(os.fsencode(plain)) <= _LONGEST_ADDRESS - len(_SUFFIX) else f"/proc/self/fd/{folder}/{name}"


class _Listener:
    """One bound socket and the thread that reads it."""

    def __init__(self, address: str, queues: frozenset[str], heard: Callable[[str], None]) -> None:
        self._address = address + _SUFFIX
        self._queues = queues
        self._heard = heard
        self._stopping = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        # The directory lets nobody else in; the mode of the socket need not be guarded against a race.
        self._socket.bind(address)
        # Only now by the name that is rung: in the midst of binding a socket looks like a dead one's.
        Path(address).rename(self._address)
        self._thread = threading.Thread(target=self._listen, name="bells", daemon=True)
        self._thread.start()

    def follow(self, queues: frozenset[str], heard: Callable[[str], None]) -> None:
        """Hear these queues instead."""
        self._queues, self._heard = queues, heard

    def close(self) -> None:
        """Remove the socket and end the thread: at once, or after the call that it is in if that is the caller."""
        self._stopping = True
        with contextlib.suppress(OSError):
            Path(self._address).unlink()
        if threading.current_thread() is self._thread:
            self._socket.close()  # nothing reads it any more: the loop ends with this call
            return
        self._socket.shutdown(socket.SHUT_RDWR)  # wakes it
        self._thread.join()
        self._socket.close()

    def _listen(self) -> None:
        while not self._stopping:
            for queue in self._next():
                self._call(queue)
                if self._stopping:
                    break

    def _next(self) -> list[str]:
        """Wait for a bell; return it and all that wait with it, each queue once."""
        messages = {self._socket.recv(_MOST_BYTES): None}
        for _ in range(_MOST_AT_ONCE):
            try:
                messages[self._socket.recv(_MOST_BYTES, socket.MSG_DONTWAIT)] = None
            except OSError:
                break
        names = (message.decode(errors="replace") for message in messages)
        return [name for name in names if name in self._queues]

    def _call(self, queue: str) -> None:
        try:
            self._heard(queue)
        except Exception:  # noqa: BLE001 a listener's fault must not end the bells of the others
            _log.exception("a bell of %s was not taken up; the parent looks by itself within a second", queue)
