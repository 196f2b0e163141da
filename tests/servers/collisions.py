"""Cases in which something foreign holds a name that a deployment wants, on real servers."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql

from central_dispatch.provisioning.journal import Entry, Kind
from central_dispatch.provisioning.saga import Journal
from central_dispatch.provisioning.spec import InstanceSpec
from servers.host_rig import HostRig

CRONTABS = Path("/var/spool/cron/crontabs")
OTHER_MARK = f"central-dispatch instance={'e' * 32} committed={'e' * 32}"


@dataclass(frozen=True, slots=True)
class Case:
    """One collision: `make` lays the foreign thing, `remove` takes it away again, `step` is where it collides."""

    title: str
    step: str  # its name
    make: Callable[[HostRig, InstanceSpec], None]
    remove: Callable[[HostRig, InstanceSpec], None]

    def __str__(self) -> str:
        """Return the case's name."""
        return self.title


class Interfering:
    """A journal that lays a foreign thing right after the intent of a step: after its probe, before its act."""

    def __init__(self, journal: Journal, index: int, interfere: Callable[[], None]) -> None:
        self._journal = journal
        self._index = index
        self._interfere = interfere

    def append(self, kind: Kind, step: int = -1, data: dict[str, Any] | None = None) -> Entry:
        """Append, then interfere."""
        entry = self._journal.append(kind, step, data)
        if kind == "intent" and step == self._index:
            self._interfere()
        return entry

    def entries(self) -> list[Entry]:
        """Return the entries."""
        return self._journal.entries()


def _run(*argv: str, stdin: str = "") -> None:
    subprocess.run(argv, input=stdin, text=True, check=True, capture_output=True)


def _user(spec: InstanceSpec) -> str:
    return f"cd-{spec.name}"


def _accounts() -> Iterator[Case]:
    def users(*options: str) -> Callable[[HostRig, InstanceSpec], None]:
        return lambda _rig, spec: _run("useradd", "-r", *options, _user(spec))

    def no_user(_rig: HostRig, spec: InstanceSpec) -> None:
        _run("userdel", _user(spec))

    yield Case("a Unix user", "system_user", users("-U"), no_user)
    yield Case("a Unix user with a person's name as comment", "system_user", users("-U", "-c", "Ada L"), no_user)
    yield Case("another instance's Unix user", "system_user", users("-U", "-c", OTHER_MARK), no_user)
    yield Case("a Unix user without a group of its own", "system_user", users("-N"), no_user)
    yield Case(
        "a Unix group",
        "system_user",
        lambda _rig, spec: _run("groupadd", _user(spec)),
        lambda _rig, spec: _run("groupdel", _user(spec)),
    )
    yield Case(
        "a Unix group with a member",
        "system_user",
        lambda _rig, spec: (_run("groupadd", _user(spec)), _run("gpasswd", "-a", "daemon", _user(spec)))[0],
        lambda _rig, spec: _run("groupdel", _user(spec)),
    )


def _sql(rig: HostRig, *statements: str) -> None:
    access = rig.sandbox.database
    with pymysql.connect(unix_socket=access.socket, user=access.user, password=access.password) as connection:
        for statement in statements:
            connection.cursor().execute(statement)


def _databases() -> Iterator[Case]:
    def made(*statements: str) -> Callable[[HostRig, InstanceSpec], None]:
        return lambda rig, spec: _sql(rig, *(one.replace("NAME", spec.database) for one in statements))

    drop = made("DROP DATABASE NAME")
    yield Case("an empty database", "database", made("CREATE DATABASE NAME"), drop)
    yield Case("a database with tables", "database", made("CREATE DATABASE NAME", "CREATE TABLE NAME.t (a INT)"), drop)
    yield Case(
        "a database with a comment", "database", made("CREATE DATABASE NAME COMMENT 'the shop, do not touch'"), drop
    )
    yield Case("another instance's database", "database", made(f"CREATE DATABASE NAME COMMENT '{OTHER_MARK}'"), drop)
    for host in ("localhost", "%", "127.0.0.1", "10.0.0.%"):
        account = f"'NAME'@'{host}'"
        yield Case(
            f"a database user at {host}",
            "database_user",
            made(f"CREATE USER {account} IDENTIFIED BY 'theirs'"),
            made(f"DROP USER {account}"),
        )
    yield Case(
        "a database user with rights elsewhere",
        "database_user",
        made("CREATE USER 'NAME'@'localhost' IDENTIFIED BY 'theirs'", "GRANT SELECT ON mysql.* TO 'NAME'@'localhost'"),
        made("DROP USER 'NAME'@'localhost'"),
    )


def _remove(path: Path) -> None:
    with suppress(FileNotFoundError):
        if path.is_dir() and not path.is_symlink():
            for entry in path.iterdir():
                _remove(entry)
            path.rmdir()
        else:
            path.unlink()


def _occupations(what: str, step: str, path: Callable[[HostRig, InstanceSpec], Path]) -> Iterator[Case]:
    """Yield the five ways in which a path can be taken."""

    def file(rig: HostRig, spec: InstanceSpec) -> None:
        path(rig, spec).write_text("# somebody else's\n")

    def full(rig: HostRig, spec: InstanceSpec) -> None:
        path(rig, spec).mkdir()
        (path(rig, spec) / "precious.txt").write_text("theirs")

    makes: dict[str, Callable[[HostRig, InstanceSpec], None]] = {
        "a file": file,
        "a directory that is not empty": full,
        "an empty directory": lambda rig, spec: path(rig, spec).mkdir(),
        "a link": lambda rig, spec: path(rig, spec).symlink_to(rig.sandbox.ca),
        "a dangling link": lambda rig, spec: path(rig, spec).symlink_to("/nowhere/at/all"),
        "another instance's file": lambda rig, spec: _marked(path(rig, spec)),
    }
    for kind, make in makes.items():
        yield Case(f"{what}: {kind}", step, make, lambda rig, spec: _remove(path(rig, spec)))


def _marked(path: Path) -> None:
    path.write_text(f"# {OTHER_MARK}\n")


def _paths() -> Iterator[Case]:
    def in_layout(field: str, ending: str) -> Callable[[HostRig, InstanceSpec], Path]:
        return lambda rig, spec: Path(getattr(rig.sandbox.layout, field)) / f"{spec.name}{ending}"

    yield from _occupations("web root", "web_root", in_layout("install_path", ""))
    yield from _occupations("virtual host", "virtual_host", in_layout("vhost_directory", ".conf"))
    yield from _occupations(
        "PHP-FPM configuration", "php_pool", lambda rig, spec: rig.sandbox.directory / "pools" / f"{spec.name}.conf"
    )
    # An enabling link that is a file or a link to a file is part of the live tree, so it has to parse.
    for kind, make in {
        "an empty file": lambda path: path.touch(),
        "a link to an empty file": lambda path: path.symlink_to("/dev/null"),
        "a directory": lambda path: path.mkdir(),
    }.items():
        yield Case(
            f"enabling link: {kind}",
            "virtual_host",
            lambda rig, spec, make=make: make(in_layout("vhost_enabled", ".conf")(rig, spec)),
            lambda rig, spec: _remove(in_layout("vhost_enabled", ".conf")(rig, spec)),
        )


def _marked_directory(rig: HostRig, spec: InstanceSpec) -> None:
    path = Path(rig.sandbox.layout.install_path) / spec.web_root
    path.mkdir()
    (path / ".central-dispatch").write_text(f"{OTHER_MARK}\n")


def _others() -> Iterator[Case]:
    def web_root(rig: HostRig, spec: InstanceSpec) -> Path:
        return Path(rig.sandbox.layout.install_path) / spec.web_root

    yield Case(
        "web root: another instance's", "web_root", _marked_directory, lambda rig, spec: _remove(web_root(rig, spec))
    )

    def service(rig: HostRig, spec: InstanceSpec) -> Path:
        return rig.sandbox.state_directory / "services" / f"central-dispatch-php-{spec.name}.json"

    yield Case(
        "another service's definition",
        "php_pool",
        lambda rig, spec: (service(rig, spec).write_text("{}"), service(rig, spec).chmod(0o600))[1],
        lambda rig, spec: service(rig, spec).unlink(),
    )

    def crontab(spec: InstanceSpec) -> Path:
        return CRONTABS / _user(spec)

    yield Case(
        "a crontab that a deleted user left",
        "schedule",
        lambda _rig, spec: (crontab(spec).write_text("0 4 * * * /usr/bin/backup\n"), crontab(spec).chmod(0o600))[1],
        lambda _rig, spec: crontab(spec).unlink(missing_ok=True),
    )


# A crontab is a file of lines: what appears in it between our look and our write is kept beside our own.
KEPT_BESIDE = frozenset({"a crontab that a deleted user left"})
CASES = (*_accounts(), *_databases(), *_paths(), *_others())
