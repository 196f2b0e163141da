"""How a process of an instance starts: as its own user, without privileges to gain, and seeing nothing of ours."""

import os
import pwd
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from central_dispatch.platforms.commands import PATH
from central_dispatch.platforms.walk import explained, parent_of, sync_directory
from central_dispatch.provisioning.problem import HostError, Problem

#: Ahead of a tenant's command: whatever set-user-id program it meets gives it nothing.
NO_NEW_PRIVILEGES = ("/usr/bin/setpriv", "--no-new-privs", "--")


@dataclass(frozen=True, slots=True)
class Account:
    """As whom a tenant's process starts. `identity` holds the arguments for `subprocess`, empty where we stay us."""

    name: str
    uid: int
    home: str
    identity: Mapping[str, Any]


def account_of(user: str) -> Account:
    """Return how to start a process as that user; never as root. Where we are not root, it starts as ourselves."""
    if os.geteuid() != 0:
        us = pwd.getpwuid(os.geteuid())
        return Account(us.pw_name, us.pw_uid, us.pw_dir, {})
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise HostError(Problem(f"Cannot run as {user}", "there is no such user", "Create it first.")) from None
    if found.pw_uid == 0 or found.pw_gid == 0:
        raise HostError(Problem(f"Refused to run an instance's command as {user}", "it is root, or of its group", ""))
    identity = {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return Account(found.pw_name, found.pw_uid, found.pw_dir, identity)


def clean_environment(account: Account, given: Mapping[str, str]) -> dict[str, str]:
    """Return what a tenant's process sees of an environment: nothing of ours but `given`."""
    ours = {"PATH": PATH, "HOME": account.home, "USER": account.name, "LOGNAME": account.name, "LANG": "C.UTF-8"}
    return {**ours, **given}


def write_output(
    argv: Sequence[str], *, user: str, target: str, what: str, secret: bytes = b"", fine: tuple[int, ...] = (0,)
) -> None:
    """Run a command as that user and keep what it writes in the new file `target` (0600, ours, durable).

    In `argv`, `{secret}` stands for a path from which the command alone can read `secret` (at most 4 KiB),
    once. A command whose exit code is not `fine` leaves no file; `what` names it in the `HostError`.
    """
    account = account_of(user)
    with _new_file(target) as file, _pipe(secret, account) as reading:
        words = [word.replace("{secret}", f"/dev/fd/{reading}") for word in argv] if secret else list(argv)
        ended = subprocess.run(
            [*NO_NEW_PRIVILEGES, *words],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.PIPE,
            env=clean_environment(account, {"LC_ALL": "C"}),
            cwd="/",
            pass_fds=(reading,) if secret else (),
            start_new_session=True,
            check=False,
            **account.identity,
        )
        if ended.returncode not in fine:
            why = ended.stderr.decode("utf-8", "replace").strip()[-2000:]
            raise HostError(Problem(what, why, "Correct what it says, then try again."))


@contextmanager
def _new_file(target: str) -> Iterator[int]:
    with explained("Cannot write", target), parent_of(target, writing=True) as (fd, name):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=fd)
        try:
            yield file
            os.fsync(file)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=fd)
            raise
        finally:
            os.close(file)
        sync_directory(fd)


@contextmanager
def _pipe(secret: bytes, account: Account) -> Iterator[int]:
    """Yield the end of a pipe that holds the secret; it never reaches a disk or an argument list."""
    reading, writing = os.pipe()
    try:
        # A pipe takes these few bytes at once. Opening /dev/fd/N asks for the pipe's owner.
        os.write(writing, secret)
        if os.geteuid() == 0:
            os.fchown(reading, account.uid, -1)
        os.close(writing)
        yield reading
    finally:
        os.close(reading)
