"""Dumps of a database, made by the server's own program as the instance's own Unix and database user."""

import os
import pwd
import shutil
import subprocess
from contextlib import suppress

from central_dispatch.platforms.commands import ENVIRONMENT, PATH
from central_dispatch.platforms.walk import explained, parent_of, sync_directory
from central_dispatch.provisioning.ports import DatabaseAddress
from central_dispatch.provisioning.problem import HostError, Problem

_PROGRAMS = ("mariadb-dump", "mysqldump")
_OPTIONS = ("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--no-tablespaces")
#: Ahead of a tenant's command: whatever set-user-id program it meets gives it nothing.
NO_NEW_PRIVILEGES = ("/usr/bin/setpriv", "--no-new-privs", "--")


def dump_database(
    address: DatabaseAddress, database: str, user: str, password: str, *, as_user: str, target: str
) -> None:
    """Write the dump to the new file `target` (mode 0600, ours). A dump that fails leaves no file."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name, path=PATH))), "")
    if not program:
        raise HostError(Problem("Cannot dump the database", "there is no mariadb-dump", "Install mariadb-client."))
    with explained("Cannot write the dump", target), parent_of(target, writing=True) as (fd, name):
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=fd)
        try:
            _write(program, _options_file(address, user, password), database, as_user, file)
            os.fsync(file)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=fd)
            raise
        finally:
            os.close(file)
        sync_directory(fd)


def _options_file(address: DatabaseAddress, user: str, password: str) -> bytes:
    """Return the client's option file. It goes through a pipe, never to a disk."""
    where = {"socket": address.socket} if address.socket else {"host": address.host, "port": str(address.port)}
    values = {"user": user, "password": password, "default-character-set": "utf8mb4", **where}
    lines = [f'{key}="{_escaped(value)}"' for key, value in values.items()]
    if not address.socket:
        lines.append("protocol=tcp")
    return ("[client]\n" + "\n".join(lines) + "\n").encode()


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _write(program: str, options: bytes, database: str, as_user: str, file: int) -> None:
    reading, writing = os.pipe()
    try:
        # A pipe holds 64 KiB: these few lines never block.
        os.write(writing, options)
        os.close(writing)
        ended = _run([program, f"--defaults-file=/dev/fd/{reading}", *_OPTIONS, "--", database], as_user, reading, file)
    finally:
        os.close(reading)
    if ended.returncode:
        why = ended.stderr.decode("utf-8", "replace").strip()[-2000:]
        raise HostError(Problem(f"Cannot dump the database {database}", why, "Correct what it says, then try again."))


def _run(argv: list[str], as_user: str, options: int, file: int) -> subprocess.CompletedProcess[bytes]:
    command = [*NO_NEW_PRIVILEGES, *argv]
    settings = {"env": dict(ENVIRONMENT), "cwd": "/", "stdin": subprocess.DEVNULL, "pass_fds": (options,)}
    if os.geteuid() == 0:
        found = pwd.getpwnam(as_user)
        # Opening /dev/fd/N is a new opening of the pipe, which asks for its owner.
        os.fchown(options, found.pw_uid, found.pw_gid)
        settings |= {"user": found.pw_uid, "group": found.pw_gid, "extra_groups": []}
    return subprocess.run(command, stdout=file, stderr=subprocess.PIPE, check=False, **settings)  # type: ignore[call-overload,no-any-return] # settings depend on who we are
