"""Apache 2.2 and 2.4, on the machine's own configuration tree."""

import fcntl
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from central_dispatch.platforms import commands, proc
from central_dispatch.platforms.https import ask
from central_dispatch.platforms.layouts import Layout
from central_dispatch.platforms.vhosts import deadly, read_version, read_vhosts
from central_dispatch.provisioning.ports import Answer
from central_dispatch.provisioning.problem import HostError, Problem, Unavailable

_CANDIDATE_PATH = re.compile(r"/[A-Za-z0-9_.+@=,/ -]+")
_NAMES = ("apache2", "httpd")
_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.25
_HANDLER_S = 5.0


class Apache:
    """Adapter of `ports.WebServer`.

    `state_directory` (root-owned) holds the lock of the one writer and the note of an owed reload.
    """

    def __init__(self, layout: Layout, state_directory: str) -> None:
        self._layout = layout
        self._lock_path = str(Path(state_directory) / "web.lock")
        self._owed_path = Path(state_directory) / "reload-owed"
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._version: tuple[int, int] | None = None

    def version(self) -> tuple[int, int]:
        """See `ports.WebServer`."""
        if self._version is None:
            ended = commands.run([*self._layout.web_argv, "-v"])
            self._version = read_version(ended.out)
        if self._version is None:
            raise HostError(Problem("The web server's version is unknown", ended.said, "Is it Apache 2.2 or 2.4?"))
        return self._version

    @contextmanager
    def writer(self) -> Iterator[None]:
        """See `ports.WebServer`. One thread of one process; may be entered again by the same thread."""
        with self._thread_lock:
            if self._depth:
                yield from self._nested()
                return
            fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                yield from self._nested()
            finally:
                os.close(fd)

    def _nested(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def test(self, candidate: str = "") -> Problem | None:
        """See `ports.WebServer`. Apache's own words, with file and line, are the problem's reason."""
        argv = [*self._layout.web_argv, "-t"]
        if candidate:
            if not _CANDIDATE_PATH.fullmatch(candidate):
                return Problem(f"Refused to test {candidate!r}", "its path has characters with a meaning to Apache")
            argv += ["-c", f'Include "{candidate}"']
        ended = commands.run(argv)
        if ended.code:
            return self._refusal(ended.said, candidate)
        return deadly(Path(candidate).read_text(encoding="utf-8", errors="replace"), candidate) if candidate else None

    def _refusal(self, said: str, candidate: str) -> Problem:
        if candidate and candidate in said:
            return Problem("Apache refuses the virtual host", said, "Correct the vhost template.", field="template")
        return Problem("Apache's configuration is broken", said, "Correct the file that it names.")

    def reload(self) -> None:
        """See `ports.WebServer`. What was owed is made up by it."""
        with self.writer():
            if not self.running():
                raise Unavailable(
                    Problem("The web server does not run", f"no process of {self._layout.pid_file}", "Start it.")
                )
            self._wait_until_it_listens_to_us()
            # The server that runs is not told of a tree that does not parse: the command looks first.
            ended = commands.run(self._layout.reload_argv)
            if ended.code:
                raise HostError(Problem("The web server was not reloaded", ended.said, "Correct what it names."))
            self._owed_path.unlink(missing_ok=True)

    def _wait_until_it_listens_to_us(self) -> None:
        """Wait a moment for a server that has just been started: the signal would end it before it has a handler."""
        deadline = time.monotonic() + _HANDLER_S
        while time.monotonic() < deadline and not proc.catches(self._pid(), signal.SIGUSR1):
            time.sleep(_FIRST_PAUSE_S)

    def _pid(self) -> int:
        """Return the main process's number; 0 where none is noted."""
        try:
            return int(Path(self._layout.pid_file).read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0

    def owe_reload(self) -> None:
        """See `ports.WebServer`."""
        with self.writer():
            fd = os.open(self._owed_path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
            directory = os.open(self._owed_path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def owed(self) -> bool:
        """Say whether a reload is owed."""
        return self._owed_path.exists()

    def make_up(self) -> Problem | None:
        """Make up a reload that is owed; return why it cannot be yet. A server that is down owes none."""
        with self.writer():
            if not self.owed():
                return None
            if not self.running():
                # It reads the whole tree when it starts.
                self._owed_path.unlink(missing_ok=True)
                return None
            if problem := self.test():
                return problem
            try:
                self.reload()
            except HostError as error:
                return error.problem
        return None

    def running(self) -> bool:
        """See `ports.WebServer`."""
        pid = self._pid()
        try:
            name = Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip()
        except OSError:
            return False
        # A number that was left by a dead server may be another program's by now.
        return proc.find(pid) is not None and name in _NAMES

    def hostnames(self) -> Mapping[str, str]:
        """See `ports.WebServer`."""
        ended = commands.run([*self._layout.web_argv, "-t", "-D", "DUMP_VHOSTS"])
        if ended.code:
            problem = Problem("Apache's configuration is broken", ended.said, "Correct the file that it names.")
            raise HostError(problem)
        return read_vhosts(ended.out)

    def get(self, hostname: str, path: str, timeout_s: float = 10.0) -> Answer:
        """See `ports.WebServer`."""
        return ask(hostname, path, port=self._layout.https_port, timeout_s=timeout_s)

    def wait_for(self, hostname: str, path: str, accepted: Callable[[Answer], bool], timeout_s: float) -> Answer | None:
        """See `ports.WebServer`."""
        deadline = time.monotonic() + timeout_s
        pause_s = _FIRST_PAUSE_S
        last: Answer | None = None
        while (left := deadline - time.monotonic()) > 0:
            try:
                last = self.get(hostname, path, left)
            except Unavailable:
                # Between two generations a connection may be cut; a server that is down stays silent to the end.
                pass
            else:
                if accepted(last):
                    return last
            time.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        return last
