"""Services on a host without systemd: started by the host worker, kept by it, and found again after its death.

Each has a definition, a log and a lock file in one root-owned directory. The main process inherits the
lock file, opened for reading and locked, as do all that it starts: while one of them lives the lock is
held, whatever became of us, and whoever holds the file open is of the service. No number is trusted alone.
"""

import fcntl
import json
import os
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from central_dispatch.platforms import proc
from central_dispatch.platforms.tenant import NO_NEW_PRIVILEGES, account_of, clean_environment
from central_dispatch.platforms.walk import explained
from central_dispatch.provisioning.ports import Files, Owner, Unit
from central_dispatch.provisioning.problem import HostError, Problem

_LOG_LIMIT = 1 << 20
_SETTLED_S = 0.1  # a program that cannot start says so at once
_POLL_S = 0.002
_SHORTEST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 60.0
_STEADY_S = 60.0


@dataclass(frozen=True, slots=True)
class _Care:
    """When a dead unit was last tried again (monotonic), and how long to wait before the next try."""

    tried_at: float
    pause_s: float


class KeptServices:
    """Adapter of `ports.Services`. `directory` exists, is root's (or ours), and holds nothing else.

    `web_group` is the group that may enter a runtime directory: the web server's.
    """

    def __init__(self, files: Files, directory: str, owner: Owner, web_group: str) -> None:
        self._files = files
        self._directory = Path(directory)
        self._owner = owner
        self._web_group = web_group
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._care: dict[str, _Care] = {}
        self._lock = threading.RLock()

    def definition(self, unit: Unit) -> tuple[str, str]:
        """See `ports.Services`."""
        return self._path(unit.name, "json"), _text(unit, "")

    def install(self, unit: Unit, mark: str) -> None:
        """See `ports.Services`. A program that ends at once is a `HostError` with its own words."""
        self._files.create_file(self._path(unit.name, "json"), _text(unit, mark).encode(), self._owner, 0o600)
        self.start(unit.name)

    def mark_of(self, name: str) -> str | None:
        """See `ports.Services`."""
        path = self._path(name, "json")
        if self._files.find(path) is None:
            return None
        try:
            found = json.loads(self._files.read(path))
        except ValueError:
            return ""
        return str(found.get("mark", "")) if isinstance(found, dict) else ""

    def describe(self, name: str, mark: str) -> None:
        """See `ports.Services`."""
        path, staged = self._path(name, "json"), self._path(name, "json.new")
        self._files.remove(staged)
        self._files.create_file(staged, _text(self._unit(name), mark).encode(), self._owner, 0o600)
        self._files.replace(staged, path)

    def running(self, name: str) -> bool:
        """See `ports.Services`."""
        return self._main(name) is not None

    def start(self, name: str) -> None:
        """See `ports.Services`."""
        with self._lock:
            unit = self._unit(name)
            if self._main(name):
                return
            # What is left of it without its main process would hold its socket or its port.
            self._end(name)
            self._renew(unit)
            child = self._spawn(unit)
            if self._ended_at_once(child, unit.runtime_directory):
                self._children.pop(name, None)
                what = f"The service {name} ended at once (exit code {child.returncode})"
                raise HostError(Problem(what, self._said(name), "Correct what it says."))

    def _ended_at_once(self, child: "subprocess.Popen[bytes]", runtime_directory: str) -> bool:
        """Wait a moment, or until the service made its socket, and say whether it is gone."""
        until = time.monotonic() + _SETTLED_S
        while child.poll() is None and time.monotonic() < until:
            if runtime_directory and self._files.names(runtime_directory):
                return False
            time.sleep(_POLL_S)
        return child.returncode is not None

    def stop(self, name: str) -> None:
        """Stop the unit, which stays defined: `start` and `keep` start it again. Idempotent."""
        with self._lock:
            self._end(name)

    def names(self) -> list[str]:
        """Return the names of the units that are defined."""
        return [
            name.removesuffix(".json") for name in self._files.names(str(self._directory)) if name.endswith(".json")
        ]

    def remove(self, name: str) -> None:
        """See `ports.Services`. The definition goes first, so that nobody starts it again."""
        with self._lock:
            directory = ""
            with suppress(HostError):
                directory = self._unit(name).runtime_directory
            self._files.remove(self._path(name, "json"))
            self._end(name)
            if directory:
                self._files.remove(directory)
            for ending in ("log", "pid", "lock", "json.new"):
                self._files.remove(self._path(name, ending))
            self._care.pop(name, None)

    def keep(self, now: float | None = None) -> list[str]:
        """Start again what has died, and return the names. `now` is monotonic time in seconds.

        One that dies again and again is tried after 1, 2, 4 … 60 s. Logs that grew past 1 MiB start anew.
        """
        moment = time.monotonic() if now is None else now
        started = []
        for name in self.names():
            with self._lock, suppress(HostError):
                self._trim(name)
                if not self.running(name) and self._due(name, moment):
                    self.start(name)
                    started.append(name)
        return started

    def _due(self, name: str, now: float) -> bool:
        care = self._care.get(name)
        if care and now - care.tried_at < care.pause_s:
            return False
        if care is None or now - care.tried_at > _STEADY_S:
            self._care[name] = _Care(now, _SHORTEST_PAUSE_S)
        else:
            self._care[name] = _Care(now, min(care.pause_s * 2, _LONGEST_PAUSE_S))
        return True

    def _path(self, name: str, ending: str) -> str:
        if not name or "/" in name or name.startswith("."):
            raise HostError(Problem(f"Refused the service name {name!r}", "it is not a plain name", ""))
        return str(self._directory / f"{name}.{ending}")

    def _unit(self, name: str) -> Unit:
        path = self._path(name, "json")
        try:
            found = json.loads(self._files.read(path))
            found.pop("mark")
            return Unit(**{**found, "argv": tuple(found["argv"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HostError(Problem(f"{path} does not define a service", str(error), "Remove it by hand.")) from None

    def _renew(self, unit: Unit) -> None:
        """Make the runtime directory anew: nothing that a former process left in there is trusted."""
        if not unit.runtime_directory:
            return
        self._files.remove(unit.runtime_directory)
        # The set-group-id bit lets what the service makes in there, its socket, belong to the web server's group.
        self._files.create_directory(unit.runtime_directory, Owner(unit.user, self._web_group), 0o2750)

    def _spawn(self, unit: Unit) -> "subprocess.Popen[bytes]":
        account = account_of(unit.user)
        with explained("Cannot start the service with", self._path(unit.name, "lock")):
            lock = self._open(unit.name, "lock", os.O_RDONLY)
            log = self._open(unit.name, "log", os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if account.identity:
                    # A program that opens /dev/stderr anew is asked for the file's owner; its directory stays ours.
                    os.fchown(log, account.uid, -1)
                self._files.remove(self._path(unit.name, "pid"))
                child = subprocess.Popen(
                    [*NO_NEW_PRIVILEGES, *unit.argv],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env=clean_environment(account, {"CENTRAL_DISPATCH_UNIT": unit.name}),
                    start_new_session=True,
                    umask=0o027,
                    pass_fds=(lock,),
                    **account.identity,
                )
            finally:
                os.close(lock)
                os.close(log)
        self._children[unit.name] = child
        self._remember(unit.name, child.pid)
        return child

    def _remember(self, name: str, pid: int) -> None:
        found = proc.find(pid)
        note = f"{pid} {found.started if found else 0}\n"
        self._files.create_file(self._path(name, "pid"), note.encode(), self._owner, 0o600)

    def _remembered(self, name: str) -> tuple[int, int] | None:
        """Return number and start of the main process; None where we were killed before we noted them."""
        try:
            pid, started = self._files.read(self._path(name, "pid")).split()
            return int(pid), int(started)
        except (HostError, ValueError):
            return None

    def _open(self, name: str, ending: str, flags: int) -> int:
        return os.open(self._path(name, ending), flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def _members(self, name: str) -> list[proc.Process]:
        """Return all living processes of the service: those that hold its lock file open."""
        self._reap(name)
        try:
            found = Path(self._path(name, "lock")).stat()
        except OSError:
            return []
        return [
            one
            for one in proc.processes()
            if one.pid != os.getpid() and proc.holds_open(one.pid, found.st_dev, found.st_ino)
        ]

    def _main(self, name: str) -> proc.Process | None:
        """Return the main process: our child, or the one noted, or the one that leads the service's session."""
        with self._lock:
            self._reap(name)
            child = self._children.get(name)
            if child:
                return proc.find(child.pid)
            if not self._is_held(name):
                return None
            noted = self._remembered(name)
            if noted:
                return proc.find(noted[0]) if proc.lives(*noted) else None
            return next((one for one in self._members(name) if one.session == one.pid), None)

    def _is_held(self, name: str) -> bool:
        """Say, without a look at every process, whether anyone of the service may live."""
        try:
            fd = os.open(self._path(name, "lock"), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    def _reap(self, name: str) -> None:
        child = self._children.get(name)
        if child and child.poll() is not None:
            del self._children[name]

    def _end(self, name: str) -> None:
        self._reap(name)
        # Spares a look into every process of the machine.
        if not self._is_held(name):
            return
        left = proc.end(lambda: self._members(name), grace_s=5.0)
        if left:
            numbers = ", ".join(str(one.pid) for one in left)
            raise HostError(Problem(f"The service {name} does not end", f"pid {numbers}", "Look at what it waits for."))

    def _said(self, name: str) -> str:
        with suppress(HostError, OSError):
            return Path(self._path(name, "log")).read_text(encoding="utf-8", errors="replace").strip()[-2000:]
        return ""

    def _trim(self, name: str) -> None:
        log = Path(self._path(name, "log"))
        with suppress(OSError):
            if log.stat().st_size > _LOG_LIMIT:
                os.truncate(log, 0)


def _text(unit: Unit, mark: str) -> str:
    return json.dumps({"mark": mark, **asdict(unit)}, indent=2) + "\n"
