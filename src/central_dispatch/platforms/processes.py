"""Commands of an instance, run as its own user: bounded in time and output, and found again after a crash."""

import os
import secrets
import selectors
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from central_dispatch.platforms import proc
from central_dispatch.platforms.tenant import NO_NEW_PRIVILEGES, Account, account_of, clean_environment
from central_dispatch.provisioning.ports import RUN_VARIABLE, Completed
from central_dispatch.provisioning.problem import HostError, Problem

#: Each command bears an id of its own in its environment, by which its processes are found.
COMMAND_VARIABLE = "CENTRAL_DISPATCH_COMMAND"
_MAX_LINES = 200
_MAX_BYTES = 64 * 1024
_TAIL_BYTES = 8 * 1024
# Far more than anybody shows of a line: secrets are blotted out of it before it is cut to that, so that the half
# of a secret at this bound is never shown.
_LINE_BYTES = 32 * 1024
_DRAIN_S = 0.5  # for what a command wrote just before it ended


class UserProcesses:
    """Adapter of `ports.Processes`. Where we are not root, commands run as ourselves."""

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str,
        directory: str,
        run: str,
        timeout_s: float,
        output: Callable[[str], None],
        stdin: bytes = b"",
    ) -> Completed:
        """See `ports.Processes`."""
        account = account_of(user)
        own = secrets.token_hex(16)
        child = _start(argv, account, directory, {RUN_VARIABLE: run, COMMAND_VARIABLE: own})
        told = Told(output)
        try:
            threading.Thread(target=_feed, args=(child, stdin), daemon=True).start()
            in_time = _listen(child, told, time.monotonic() + timeout_s)
            if not in_time:
                _end_all(own, child)
        finally:
            # What the command left behind, too: it would hold files and ports of the instance.
            _end_all(own, child)
            _close(child)
        told.finish()
        return Completed(child.returncode if in_time else None, told.tail())

    def end_leftovers(self, run: str) -> None:
        """See `ports.Processes`."""
        left = proc.end(lambda: _bearing(f"{RUN_VARIABLE}={run}"))
        if left:
            numbers = ", ".join(str(one.pid) for one in left)
            raise HostError(Problem("Commands of the run do not end", f"pid {numbers}", "Look at what they wait for."))


def _start(
    argv: Sequence[str], account: Account, directory: str, given: Mapping[str, str]
) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [*NO_NEW_PRIVILEGES, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=directory,
            env=clean_environment(account, given),
            start_new_session=True,
            umask=0o027,
            **account.identity,
        )
    except OSError as error:
        raise HostError(
            Problem(
                f"Cannot start {argv[0]}", f"{error.strerror} ({directory})", "Look at the directory's permissions."
            )
        ) from None


def _feed(child: "subprocess.Popen[bytes]", stdin: bytes) -> None:
    assert child.stdin  # noqa: S101 it was asked for
    try:
        child.stdin.write(stdin)
        child.stdin.close()
    except (OSError, ValueError):
        return  # the command ended, or does not read


def _listen(child: "subprocess.Popen[bytes]", told: "Told", deadline: float) -> bool:
    """Hand over what the command writes until it ended; say whether it did so before the deadline."""
    assert child.stdout  # noqa: S101 it was asked for
    ended_at: float | None = None
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            now = time.monotonic()
            if ended_at is None and child.poll() is not None:
                ended_at = now
            # A process left behind may keep the pipe open for ever: only what is there already counts.
            if ended_at is not None and now - ended_at > _DRAIN_S:
                return True
            if ended_at is None and now > deadline:
                return False
            if selector.select(timeout=0.02 if ended_at is None else 0):
                block = os.read(child.stdout.fileno(), 65536)
                if not block:
                    return _wait(child, deadline)
                told.take(block)
            elif ended_at is not None:
                return True


def _wait(child: "subprocess.Popen[bytes]", deadline: float) -> bool:
    """Wait for a command that closed its output before it ended."""
    try:
        child.wait(timeout=max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _bearing(assignment: str) -> list[proc.Process]:
    return [found for found in proc.processes() if proc.has_variable(found.pid, assignment)]


def _end_all(own: str, child: "subprocess.Popen[bytes]") -> None:
    """End the command with all that it started: by its session, and by its environment where it left that."""
    assignment = f"{COMMAND_VARIABLE}={own}"

    def which() -> list[proc.Process]:
        child.poll()
        return [one for one in proc.processes() if one.session == child.pid or proc.has_variable(one.pid, assignment)]

    left = proc.end(which)
    if left:
        numbers = ", ".join(str(one.pid) for one in left)
        raise HostError(Problem("The command's processes do not end", f"pid {numbers}", "Look at what they wait for."))


def _close(child: "subprocess.Popen[bytes]") -> None:
    child.wait()
    if child.stdout:
        child.stdout.close()


class Told:
    """Cuts output into lines and hands the first of them over; keeps the end of it all.

    At most 200 lines and 64 KiB go to `output`, then one line that says so; the tail holds 8 KiB.
    """

    def __init__(self, output: Callable[[str], None]) -> None:
        self._output = output
        self._rest = b""
        self._lines = 0
        self._bytes = 0
        self._cut = False
        self._overlong = False
        self._tail: deque[bytes] = deque()
        self._tail_size = 0

    def take(self, block: bytes) -> None:
        """Take some bytes as they came."""
        self._remember(block)
        if self._cut:
            return
        *lines, self._rest = (self._rest + block).split(b"\n")
        for line in lines:
            if not self._overlong:
                self._tell(line)
            self._overlong = False
        if self._overlong:
            self._bytes += len(self._rest)
            self._rest = b""
            if self._bytes >= _MAX_BYTES:
                self._tell(b"")
        elif len(self._rest) > _LINE_BYTES:
            # The rest of this line is dropped: a piece of it could begin in the middle of a secret, which nobody
            # would know for one.
            self._tell(self._rest)
            self._rest, self._overlong = b"", True

    def finish(self) -> None:
        """Hand over a last line without an end."""
        if self._rest and not self._cut:
            self._tell(self._rest)
        self._rest = b""

    def tail(self) -> str:
        """Return the end of the output."""
        return b"".join(self._tail)[-_TAIL_BYTES:].decode("utf-8", "replace")

    def _remember(self, block: bytes) -> None:
        self._tail.append(block[-_TAIL_BYTES:])
        self._tail_size += len(self._tail[-1])
        while self._tail_size - len(self._tail[0]) >= _TAIL_BYTES:
            self._tail_size -= len(self._tail.popleft())

    def _tell(self, line: bytes) -> None:
        if self._cut:
            return
        if self._lines >= _MAX_LINES or self._bytes >= _MAX_BYTES:
            self._cut = True
            self._output("… output cut")
            return
        shown = line[:_LINE_BYTES]
        self._lines += 1
        self._bytes += len(shown)
        self._output(shown.decode("utf-8", "replace").rstrip("\r"))
