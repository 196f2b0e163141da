"""A host's fingerprint: everything that a deployment could change, as sorted lines that can be compared.

Left out, since it changes by itself or says nothing of a deployment: MariaDB's data files, server logs, the
host worker's own state, process ids, and what an archive holds.
"""

import grp
import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pymysql

from central_dispatch.platforms.sandbox import Sandbox

LEFT_OUT = ("mariadb", "log", "state", "archives", "run", "sources")
CRONTABS = Path("/var/spool/cron/crontabs")
ACCOUNT_TABLES = ("/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid")


def fingerprint(sandbox: Sandbox, *, database: bool = True, token: str = "") -> list[str]:
    """Return the lines; `database=False` where the server is down.

    With a rig's `token`, users and groups of instances whose names do not end with it are another test's, which
    may run at the same time and have half of an account at any moment.
    """
    others = _others(sandbox, token)
    lines = [*_tree(sandbox), *_runtime(sandbox), *_accounts(others), *_crontabs(others)]
    lines += [*_vhosts(sandbox), *_processes(others)]
    if database:
        lines += _databases(sandbox)
    return sorted(lines)


def difference(before: list[str], after: list[str]) -> list[str]:
    """Return what is gone (-) and what is new (+)."""
    gone, new = set(before) - set(after), set(after) - set(before)
    return [*(f"- {line}" for line in sorted(gone)), *(f"+ {line}" for line in sorted(new))]


def _tree(sandbox: Sandbox) -> Iterator[str]:
    root = sandbox.directory
    for top in sorted(root.iterdir()):
        if top.name not in LEFT_OUT:
            yield from _below(top)


def _below(path: Path) -> Iterator[str]:
    yield _line(path)
    if path.is_dir() and not path.is_symlink():
        for entry in sorted(path.iterdir()):
            yield from _below(entry)


def _line(path: Path) -> str:
    found = path.lstat()
    kind, content = stat.S_IFMT(found.st_mode), ""
    if stat.S_ISLNK(found.st_mode):
        content = str(path.readlink())
    elif stat.S_ISREG(found.st_mode) and path.parent.name != "log":
        content = sha256(path.read_bytes()).hexdigest()
    mode = stat.S_IMODE(found.st_mode)
    return f"file {path} {kind:o} {mode:o} {found.st_uid}:{found.st_gid} {content}"


def _runtime(sandbox: Sandbox) -> Iterator[str]:
    directory = Path(sandbox.layout.runtime_directory)
    for path in directory.rglob("*") if directory.exists() else ():
        yield f"runtime {path}"
    services = sandbox.state_directory / "services"
    for path in services.iterdir() if services.exists() else ():
        yield f"service {path.name}"


def _others(sandbox: Sandbox, token: str) -> set[str]:
    """Return the users and groups of other tests and other sandboxes, which may come and go at the same time."""
    homes = {one.pw_name: one.pw_dir for one in pwd.getpwall()}
    names = {name for name in (*homes, *(one.gr_name for one in grp.getgrall())) if name.startswith(("cd-", "cdt-"))}
    if token:
        return {name for name in names if not name.endswith(token)}
    here = str(sandbox.directory)
    elsewhere = {name for name in names if "/www/" in homes.get(name, "") and not homes[name].startswith(here)}
    return elsewhere | {name for name in names if name.startswith("cdt-")}


def _accounts(others: set[str]) -> Iterator[str]:
    for table in ACCOUNT_TABLES:
        for line in Path(table).read_text().splitlines() if os.access(table, os.R_OK) else ():
            name = line.split(":")[0]
            if name not in others and not name.startswith("cdt-"):
                yield f"{table} {line}"


def _crontabs(others: set[str]) -> Iterator[str]:
    for path in sorted(CRONTABS.iterdir()) if os.access(CRONTABS, os.R_OK) else ():
        if path.name in others:
            continue
        try:
            lines = path.read_text().splitlines()
        except FileNotFoundError:
            continue  # the draft of somebody's `crontab`, published in between
        # `crontab` writes the time of the last change into three lines at the top.
        yield f"crontab {path.name} {[line for line in lines if not line.startswith('# (')]}"


def _vhosts(sandbox: Sandbox) -> Iterator[str]:
    argv = [*sandbox.layout.web_argv, "-t", "-D", "DUMP_VHOSTS"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        yield f"apachectl -S: {line.strip()}"


def _processes(others: set[str]) -> Iterator[str]:
    """Yield the processes of every user of an instance."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            owner = pwd.getpwuid(process.stat().st_uid).pw_name
            state = (process / "stat").read_text().rsplit(")", 1)[1].split()[0]
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (OSError, KeyError):
            continue
        if owner.startswith("cd-") and owner not in others and state != "Z":
            yield f"process of {owner}: {command.strip()}"


def _databases(sandbox: Sandbox) -> Iterator[str]:
    access = sandbox.database
    connection = pymysql.connect(unix_socket=access.socket, user=access.user, password=access.password)
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT SCHEMA_NAME, SCHEMA_COMMENT FROM information_schema.SCHEMATA")
        for name, comment in cursor.fetchall():
            yield f"database {name} “{comment}”"
        cursor.execute(
            "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES"
            " WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')"
        )
        for row in cursor.fetchall():
            yield f"table {row}"
        cursor.execute("SELECT User, Host FROM mysql.user")
        for user, host in list(cursor.fetchall()):
            cursor.execute("SHOW GRANTS FOR %s@%s", (user, host))
            for (grant,) in cursor.fetchall():
                yield f"grant {grant}"
