"""`worker install`, `worker uninstall`: a queue worker as a service of this machine."""

import pwd
from pathlib import Path
from typing import Any

import click

from central_dispatch.cli import exit_codes, places, screen
from central_dispatch.provisioning.problem import Problem
from central_dispatch.worker.service import DRAIN_S, RUNNING, UNIT_DIRECTORY, Service


@click.command("install")
@screen.command
@click.argument("name")
@click.option("--queue-name", "names", multiple=True, metavar="QUEUE", help="Serve this queue; may be repeated.")
@click.option("--all-queues", is_flag=True, help="Serve all queues, those of later versions, too.")
@click.option("-m", "--max-processes", "slots", type=click.IntRange(1, 256), help="Jobs at a time.")
@click.option("--user", default="", help="Whom it runs as. Default: the owner of the dispatcher's files.")
@click.option("--listen", default="", metavar="ADDRESS", help="Serve /metrics and /healthz there: 127.0.0.1:9464.")
@click.option(
    "--drain-limit", "drain_s", type=click.IntRange(0, 86_400), default=DRAIN_S, show_default=True,
    help="What running jobs get to end in when it is stopped, at most, in seconds.",
)  # fmt: skip
@click.option("--show", is_flag=True, help="Print the unit, and change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def install(name: str, *, show: bool, yes: bool, **given: Any) -> None:  # noqa: ANN401 the options above
    """Install a queue worker as a service of systemd, with an assignment of its name.

    The assignment is made, or changed where queues or -m are named; the worker follows later changes without a
    restart. Without systemd the unit is printed, with what to do with it.
    """
    from central_dispatch.cli import worker_assignment
    from central_dispatch.worker import service as services

    service = Service(
        name=name,
        user=given["user"] or _owner(),
        home=places.home_directory(),
        listen=given["listen"],
        drain_s=given["drain_s"],
    )
    if problems := [*service.problems(), *_unfit(service)]:
        raise screen.Stop(exit_codes.FAILED, *problems)
    text = service.text()
    path = UNIT_DIRECTORY / service.unit
    if show or not RUNNING.is_dir():
        _print(service, path, text, only_shown=show)
        return
    screen.people().print(f"{path}:\n\n{text}", markup=False)
    screen.confirm(f"Write it, and start {service.unit}?", yes=yes)
    made = worker_assignment.put(name, given["names"], given["slots"], None, all_queues=given["all_queues"])
    done = screen.granted(services.install(service))
    sentence = "\n".join([*done, f"It serves {worker_assignment.in_words(made)}."])
    value = {"unit": str(path), "text": text, "done": done, "assignment": worker_assignment.to_json(made)}
    screen.say(value, sentence)


@click.command("uninstall")
@screen.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def uninstall(name: str, *, yes: bool) -> None:
    """Stop a queue worker's service, let its jobs end, and remove it. Its assignment stays."""
    from central_dispatch.worker import service as services

    screen.confirm(f"Stop and remove the queue worker {name}?", yes=yes)
    done = screen.granted(services.uninstall(name))
    left = f"Its assignment stays: central-dispatch worker assignment remove {name}"
    screen.say({"done": done}, "\n".join([*done, left]))


def _print(service: Service, path: Path, text: str, *, only_shown: bool) -> None:
    """Show the unit, and where systemd does not run what to put where."""
    mend = [
        f"Put it into {path}, then: systemctl daemon-reload && systemctl enable --now {service.unit}",
        f"Or have your own supervisor run, as {service.user}: {' '.join(service.command)}",
        f"It ends by SIGTERM, within {service.drain_s + 60} s; start it again whenever it ends.",
        f"Its assignment has to be there: central-dispatch worker assignment set {service.name}",
    ]
    value = {"unit": str(path), "text": text, "command": service.command, "installed": False}
    words = [text] if only_shown else [text, "This machine does not run systemd: nothing was changed.", *mend]
    screen.say(value, "\n".join(words))
    if not only_shown:
        raise screen.Ended(exit_codes.FAILED)


def _owner() -> str:
    """Return who owns the dispatcher's files: whoever else runs a worker could not use them."""
    directory = places.home_directory() / "dispatcher"
    try:
        return pwd.getpwuid(directory.stat().st_uid).pw_name
    except OSError:
        what = Problem("There is no dispatcher here", f"{directory} is not there", "Name another place with --home.")
        raise screen.Stop(exit_codes.NOT_FOUND, what) from None
    except KeyError:
        mend = "Name one that may use them with --user."
        raise screen.Stop(
            exit_codes.FAILED, Problem(f"The owner of {directory} has no name", "", mend, "user")
        ) from None


def _unfit(service: Service) -> list[Problem]:
    """Say why this user cannot run it."""
    from central_dispatch.configuration import read_configuration

    directory = service.home / "dispatcher"
    try:
        account = pwd.getpwnam(service.user)
    except KeyError:
        mend = f"Make it: useradd --system --home-dir {service.home} {service.user}"
        return [Problem(f"There is no user “{service.user}” here", "", mend, "user")]
    if account.pw_uid == 0:
        mend = "Give the dispatcher's files to a user of their own (chown -R), and name it with --user."
        return [Problem("A queue worker does not run as root", "jobs handle what others send", mend, "user")]
    if read_configuration(service.home).database.engine == "sqlite" and directory.stat().st_uid != account.pw_uid:
        owner = directory.owner()
        mend = f"Name {owner} with --user, or give the files away: chown -R {service.user} {service.home}"
        return [Problem(f"{service.user} cannot use the job database", f"{directory} belongs to {owner}", mend, "user")]
    return []
