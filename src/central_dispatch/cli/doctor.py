"""`doctor`: what is missing or wrong on this machine, and how to mend it."""

import importlib.util
import os
import platform
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import click
from rich.console import Console

from central_dispatch.cli import exit_codes, places, screen
from central_dispatch.configuration import BadConfiguration, read_configuration
from central_dispatch.host import identity, resolved, settings
from central_dispatch.platforms import facts
from central_dispatch.platforms.layouts import Layout
from central_dispatch.provisioning.problem import HostError, Problem

#: Below it `doctor` warns, in bytes: a deployment of a small portal with its database takes a fifth of it.
LITTLE_SPACE = 1 << 30
APT = "apt-get install --no-install-recommends"
OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: `problem` says what is wrong with it, `note` what was found."""

    what: str
    note: str = ""
    problem: Problem | None = None


@click.command()
@screen.command
def doctor() -> None:
    """Look at this machine, read-only. Exit code 0: nothing is wrong; 1: something is."""
    findings = list(look())
    wrong = [finding for finding in findings if finding.problem]
    screen.show([_to_json(finding) for finding in findings], lambda console: _print(console, findings))
    if wrong:
        raise screen.Ended(exit_codes.FAILED)


def look() -> Iterator[Finding]:
    """Look at everything, one part after the other; no part keeps the next one from being looked at."""
    yield _python()
    home = places.host_home()
    known = settings.load(home)
    if isinstance(known, Problem):
        yield Finding("Settings", problem=known)
        return
    yield Finding("Settings", f"{home.settings_path}{'' if home.settings_path.exists() else ' (none: all defaults)'}")
    found = resolved.resolve(known, home)
    if isinstance(found, Problem):
        yield Finding("Layout", problem=found)
        return
    yield Finding("Layout", found.layout.title)
    yield from _programs(found.layout)
    yield from (Finding(problem.field or "Setting", problem=problem) for problem in _checks(found))
    yield from _servers(found)
    yield _disk(found.layout)
    yield from _dispatcher(found)
    yield from _dispatchers_database()
    yield from _queue_worker()
    yield from _broker()


def _python() -> Finding:
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        mend = "Install Python 3.11 or newer."
        return Finding("Python", version, Problem(f"Python {version} is too old", mend=mend))
    portal = "with the portal" if importlib.util.find_spec("django") else "host worker only"
    return Finding("Python", f"{version}, {portal}")


def _programs(layout: Layout) -> Iterator[Finding]:
    found = {
        "Apache": (layout.web_argv[0] if os.access(layout.web_argv[0], os.X_OK) else "", "apache2"),
        "PHP-FPM": (facts.find_php_fpm(layout), "php-fpm php-mysql"),
        "PHP": (facts.find_php(layout), "php-cli php-mysql"),
        "crontab": (_first("/usr/bin/crontab", "/bin/crontab"), "cron"),
        "mariadb-dump": (_first("/usr/bin/mariadb-dump", "/usr/bin/mysqldump"), "mariadb-client"),
    }
    for what, (path, packages) in found.items():
        mend = "Install it with dnf." if layout.name == "red-hat" else f"{APT} {packages}"
        yield Finding(what, path, None if path else Problem(f"{what} is missing", mend=mend))


def _first(*paths: str) -> str:
    return next((path for path in paths if os.access(path, os.X_OK)), "")


def _checks(found: resolved.Resolved) -> list[Problem]:
    # Programs were looked at above, with the packages that bring them.
    return [one for one in resolved.checks(found, datetime.now(UTC)) if not one.what.endswith("is not a program")]


def _servers(found: resolved.Resolved) -> Iterator[Finding]:
    from central_dispatch.host.vault import FileVault

    if not found.state_directory.is_dir():
        what = f"{found.state_directory} is missing"
        yield Finding("Host worker", problem=Problem(what, "nothing was set up here", "Enrol this host."))
        return
    try:
        host = resolved.build(found, FileVault(found.state_directory / "vault"))
        seen = facts.look(found.layout, host)
    except (HostError, OSError) as error:
        yield Finding("Host", problem=error.problem if isinstance(error, HostError) else Problem(str(error)))
        return
    yield Finding("Web server", seen.web_server, _web_problem(found.layout, seen))
    mend = "Start it, or correct the database settings." if found.layout.name != "sandbox" else "central-dispatch up"
    down = (
        Problem("The database server does not answer", seen.database_problem, mend) if seen.database_problem else None
    )
    yield Finding("Database", seen.database, down)
    users = "each instance has its own Unix user" if seen.separate_users else "everything runs as this user"
    yield Finding("Users", users)


def _web_problem(layout: Layout, seen: facts.Facts) -> Problem | None:
    if seen.web_server_problem:
        return Problem("The web server's configuration is broken", seen.web_server_problem, "Correct it first.")
    if not seen.web_server_runs:
        mend = "central-dispatch up" if layout.name == "sandbox" else "Start it: systemctl start apache2 (or httpd)."
        return Problem("The web server does not run", mend=mend)
    return None


def _disk(layout: Layout) -> Finding:
    nearest = Path(layout.install_path)
    while not nearest.exists():
        nearest = nearest.parent
    status = os.statvfs(nearest)
    free = status.f_bavail * status.f_frsize
    note = f"{free / 1e9:.1f} GB free at {nearest}"
    little = Problem("The disk is nearly full", note, "Make room.") if free < LITTLE_SPACE else None
    return Finding("Disk", note, little)


def _dispatcher(found: resolved.Resolved) -> Iterator[Finding]:
    known = identity.load(found.state_directory)
    if known is None or isinstance(known, Problem):
        mend = "Add a worker in the portal and run the command that it shows."
        yield Finding("Enrolment", problem=known or Problem("This host is not enrolled", mend=mend))
        return
    yield Finding("Enrolment", f"worker {known.name} of {known.url}, fingerprint {known.fingerprint}")
    problem = _reach(known)
    yield Finding("Dispatcher", "" if problem else f"{known.url} answers with the known certificate", problem)


def _dispatchers_database() -> Iterator[Finding]:
    """Look whether the server that dispatcher.toml names can be used."""
    try:
        database = read_configuration(places.home_directory()).database
    except BadConfiguration as error:
        yield Finding("dispatcher.toml", problem=error.problem)
        return
    if database.engine == "sqlite":
        return
    from central_dispatch.stores.server.preparing import database_problem

    yield Finding("Dispatcher's database", f"{database.engine}, {database.place}", database_problem(database))


def _queue_worker() -> Iterator[Finding]:
    """Look whether a queue worker runs here, where the dispatcher is: without one its jobs only wait."""
    directory = places.home_directory() / "dispatcher"
    if not (directory / "secret-key").exists():
        return
    from central_dispatch.worker.leftovers import WorkDirectory

    runs = WorkDirectory(directory / "work").is_used()
    mend = "Start one: central-dispatch worker execute (up does it, too)."
    yield Finding("Queue worker", "runs", None if runs else Problem("No queue worker runs here", "jobs wait", mend))


def _broker() -> Iterator[Finding]:
    """Look at RabbitMQ where dispatcher.toml names one: reached, new enough, rights, queues, alarm."""
    from central_dispatch import configuration
    from central_dispatch.jobs.kinds import KINDS

    try:
        found = configuration.read_configuration(places.home_directory()).broker
        if found.kind != "rabbitmq":
            return
        if not importlib.util.find_spec("aio_pika"):
            mend = "pip install 'central-dispatch[rabbitmq]'"
            yield Finding("RabbitMQ", problem=Problem("The client for RabbitMQ is missing", mend=mend))
            return
        from central_dispatch.brokers.places import look as look_at

        version, problems = look_at(found, sorted(KINDS))
    except configuration.BadConfiguration as error:
        yield Finding("Broker", problem=error.problem)
        return
    if not problems:
        yield Finding("RabbitMQ", f"{version} at {found.place}")
    for problem in problems:
        what, _, mend = problem.partition(": ")
        yield Finding("RabbitMQ", version, Problem(f"{what[0].upper()}{what[1:]}", "jobs start later", mend))


def _reach(known: identity.Identity) -> Problem | None:
    import ssl

    from central_dispatch.provisioning.trust import certificate_pin

    address = urlsplit(known.url)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the pin below is what is trusted
    try:
        with (
            socket.create_connection((address.hostname or "", address.port or 443), timeout=5) as plain,
            context.wrap_socket(plain, server_hostname=address.hostname) as secure,
        ):
            der = secure.getpeercert(binary_form=True) or b""
    except OSError as error:
        mend = "Start it, or see what lies between."
        return Problem(f"The dispatcher {known.url} does not answer", str(error), mend)
    if certificate_pin(der) != known.pin:
        what = f"{known.url} shows another certificate than at the enrolment"
        mend = "If it was made anew: invite this worker again, then worker host enroll --again."
        return Problem(what, "somebody may be in between", mend)
    return None


def _to_json(finding: Finding) -> dict[str, object]:
    problem = replace(finding.problem).to_json() if finding.problem else None
    return {"what": finding.what, "note": finding.note, "ok": finding.problem is None, "problem": problem}


def _print(console: Console, findings: list[Finding]) -> None:
    for finding in findings:
        if finding.problem is None:
            console.print(f"✓ {finding.what:<21} {finding.note}", markup=False, style="green")
            continue
        first, *rest = screen.problem_lines([replace(finding.problem, field="")])
        console.print(f"✗ {finding.what:<21} {first}", markup=False, style="red")
        for line in rest:
            console.print(f"{'':<24}{line.strip()}", markup=False)
    wrong = sum(finding.problem is not None for finding in findings)
    console.print(f"{wrong} of {len(findings)} need mending." if wrong else "Nothing is wrong.", markup=False)
