"""Dumps of a database, made by the server's own program as the instance's own Unix and database user."""

import shutil

from central_dispatch.platforms.commands import PATH
from central_dispatch.platforms.tenant import write_output
from central_dispatch.provisioning.ports import DatabaseAddress
from central_dispatch.provisioning.problem import HostError, Problem

_PROGRAMS = ("mariadb-dump", "mysqldump")
_OPTIONS = ("--single-transaction", "--quick", "--routines", "--triggers", "--events", "--hex-blob", "--no-tablespaces")


def dump_database(
    address: DatabaseAddress, database: str, user: str, password: str, *, as_user: str, target: str
) -> None:
    """Write the dump to the new file `target` (mode 0600, ours). A dump that fails leaves no file."""
    program = next((found for name in _PROGRAMS if (found := shutil.which(name, path=PATH))), "")
    if not program:
        raise HostError(Problem("Cannot dump the database", "there is no mariadb-dump", "Install mariadb-client."))
    write_output(
        [program, "--defaults-file={secret}", *_OPTIONS, "--", database],
        user=as_user,
        target=target,
        what=f"Cannot dump the database {database}",
        secret=_options_file(address, user, password),
    )


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
