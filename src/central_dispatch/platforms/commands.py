"""Commands of the system itself (useradd, crontab, apachectl): short, as ourselves, never through a shell."""

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from central_dispatch.platforms import proc
from central_dispatch.provisioning.problem import HostError, Problem

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Messages are read by us and quoted to people: always in English.
ENVIRONMENT: Mapping[str, str] = {"PATH": PATH, "LC_ALL": "C", "LANG": "C"}
# Borne by commands that change the machine, with the number of the process that gave the command: one that
# outlives it still does what it was told.
_GIVEN_BY = "CENTRAL_DISPATCH_GIVEN_BY"
_PATIENCE_S = 60.0
_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Ended:
    """How a system's command ended; `said` is what it wrote, errors first."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """Return its own words, in one line."""
        return " ".join((self.err.strip() or self.out.strip()).split())


def run(argv: Sequence[str], *, stdin: str = "", timeout_s: float = 60.0, changing: bool = False) -> Ended:
    """Run to the end; raises `HostError` where it cannot be started or takes too long.

    `changing`: it changes the machine and ends by itself, so that `await_leftovers` may wait for it.
    """
    try:
        with _whole(stdin) as given:
            ended = subprocess.run(
                argv,
                stdin=given,
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=timeout_s,
                env={**ENVIRONMENT, **({_GIVEN_BY: str(os.getpid())} if changing else {})},
                cwd="/",
                check=False,
            )
    except FileNotFoundError:
        raise HostError(
            Problem(f"{argv[0]} is missing", "", "Install it; `central-dispatch doctor` says how.")
        ) from None
    except PermissionError as error:
        raise HostError(
            Problem(f"Cannot run {argv[0]}", error.strerror or "", "Run the host worker as root.")
        ) from None
    except subprocess.TimeoutExpired:
        raise HostError(
            Problem(f"{argv[0]} did not end within {timeout_s:.0f} s", " ".join(argv), "Look at what it waits for.")
        ) from None
    return Ended(ended.returncode, ended.stdout, ended.stderr)


@contextmanager
def _whole(text: str) -> Iterator[int]:
    """Yield a descriptor to read the text from: from a pipe, a command would take half of it when we are killed."""
    fd = os.memfd_create("stdin")
    try:
        os.write(fd, text.encode())
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
    finally:
        os.close(fd)


def await_leftovers() -> None:
    """Wait until every changing command that a killed host worker left has ended: only then can be seen what it did.

    One that does not end (it waits for a lock, or a directory service) holds nobody up for more than a minute.
    """
    until = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until and any(map(_is_leftover, proc.processes())):
        time.sleep(_POLL_S)


def _is_leftover(process: proc.Process) -> bool:
    giver = proc.variable(process.pid, _GIVEN_BY)
    return giver.isdigit() and proc.find(int(giver)) is None
