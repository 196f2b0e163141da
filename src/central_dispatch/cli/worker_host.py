"""`worker host`: this machine's own host worker."""

import logging
import sys

import click
from rich.console import Console

from central_dispatch.cli import exit_codes, places, screen
from central_dispatch.host import identity, resolved, settings
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.provisioning.problem import Problem

_NO_DEFAULT_CERTIFICATE = (
    "This host has no default certificate: each instance has to bring its own, and nothing answers for unknown "
    "hostnames.\n  → Set it: central-dispatch worker host configure default_certificate=FILE default_key=FILE"
)


@click.group(invoke_without_command=True)
@screen.command
@click.option("--once", is_flag=True, help="Do what is due, then end: for cron.")
@click.pass_context
def host(context: click.Context, *, once: bool) -> None:
    """Run this machine's host worker in the foreground, or set it up by one of the commands below."""
    if context.invoked_subcommand is not None:
        if once:
            raise screen.Stop(exit_codes.USAGE, Problem("--once runs the worker; it goes with no command"))
        return
    from central_dispatch.host.worker import run

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s")
    ended = run(places.host_home(), once=once)
    screen.say({"exit_code": ended.code, "text": ended.text}, ended.text)
    context.exit(ended.code)


@host.command("enroll")
@screen.command
@click.option("--url", required=True, help="The dispatcher's address, such as https://dispatch.example.com:8700.")
@click.option("--again", is_flag=True, help="Replace the enrolment that this host has.")
def enroll(url: str, *, again: bool) -> None:
    """Enrol this host. The one-time token is read from standard input, or asked for."""
    from central_dispatch.host.enrol import enrol

    typed = sys.stdin.isatty()
    token = str(click.prompt("Token", hide_input=True, err=True)) if typed else sys.stdin.readline(4096)
    home = places.host_home()
    state = resolved.state_directory_of(screen.granted(settings.load(home)), home)
    made = screen.granted(enrol(state, url, token.strip(), again=again))
    value = {"worker": made.worker, "name": made.name, "url": made.url, "fingerprint": made.fingerprint}
    screen.say(
        value,
        f"Enrolled as “{made.name}” with {made.url}.\nFingerprint: {made.fingerprint}\n"
        "Compare it with the one that the portal shows.",
    )


@host.command("show")
@screen.command
def show() -> None:
    """Show this host's settings, with the platform's defaults, and its enrolment."""
    home = places.host_home()
    known = screen.granted(settings.load(home))
    found = screen.granted(resolved.resolve(known, home))
    view = resolved.view(found, PosixFiles()).model_dump(mode="json")
    mine = identity.load(found.state_directory)
    enrolled = mine if isinstance(mine, identity.Identity) else None
    chosen = known.model_dump(mode="json", exclude_defaults=True)
    value = {
        "settings_file": str(home.settings_path),
        "layout": found.layout.name,
        "chosen": chosen,
        "effective": view,
        "worker": {"name": enrolled.name, "url": enrolled.url, "fingerprint": enrolled.fingerprint}
        if enrolled
        else None,
    }
    names = [one["name"] for one in view.pop("sources")]
    default = view.pop("default_certificate")

    def words(console: Console) -> None:
        worker = (
            f"{enrolled.name} of {enrolled.url}, fingerprint {enrolled.fingerprint}" if enrolled else "not enrolled"
        )
        console.print(
            screen.facts({"Settings file": home.settings_path, "Layout": found.layout.title, "Worker": worker})
        )
        effective = {
            **view,
            "default_certificate": ", ".join(default["names"]) if default else "none",
            "sources": names,
        }
        console.print(screen.facts({key.replace("_", " ").capitalize(): part for key, part in effective.items()}))
        if chosen:
            console.print("Chosen here:")
            console.print(screen.facts(chosen))

    screen.show(value, words)


@host.command("configure")
@screen.command
@click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]…")
def configure(assignments: tuple[str, ...]) -> None:
    """Change settings of this host, each checked; without any, list the keys. KEY= takes one back to its default."""
    if not assignments:
        rows = [{"key": key, "meaning": meaning} for key, meaning in settings.KEYS.items()]
        screen.rows(rows, {"key": "Key", "meaning": "Meaning"}, "")
        return
    texts = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals:
            raise screen.Stop(exit_codes.USAGE, Problem(f"“{assignment}” is not KEY=VALUE", mend="Write KEY=VALUE."))
        texts[key] = text
    home = places.host_home()
    changed = screen.granted(settings.set_values(home, texts))
    chosen = changed.model_dump(mode="json", exclude_defaults=True)
    screen.say({"settings_file": str(home.settings_path), "chosen": chosen}, f"Written to {home.settings_path}.")


@host.command("install")
@screen.command
@click.option("--service", is_flag=True, help="As a unit of systemd, always running.")
@click.option("--cron", is_flag=True, help="As a line of the crontab: does what is due, then ends.")
@click.option("--every", default="15m", show_default=True, help="With --cron: how often, such as 5m or 1h.")
def install(*, service: bool, cron: bool, every: str) -> None:
    """Have the host worker started by systemd or by cron."""
    from central_dispatch.host.service import install_cron, install_service
    from central_dispatch.platforms.crontab import Crontab

    if service == cron:
        raise screen.Stop(exit_codes.USAGE, Problem("Name one of --service and --cron"))
    directory = places.host_home().directory
    done = install_service(directory) if service else install_cron(Crontab(), directory, _minutes(every))
    _say_done(screen.granted(done))


@host.command("uninstall")
@screen.command
def uninstall() -> None:
    """Take unit and crontab line away, whichever there is. Instances stay as they are."""
    from central_dispatch.host import service
    from central_dispatch.platforms.crontab import Crontab

    _say_done(screen.granted(service.uninstall(Crontab())))


def _minutes(text: str) -> int:
    number, unit = text[:-1], text[-1:]
    if unit not in {"m", "h"} or not (number.isascii() and number.isdigit()):
        mend = "Write it like 15m or 1h."
        raise screen.Stop(exit_codes.USAGE, Problem(f"“{text}” is not a time", mend=mend, field="every"))
    return int(number) * (60 if unit == "h" else 1)


def _say_done(done: list[str]) -> None:
    screen.say({"done": done}, "\n".join(done) or "There was nothing to do.")


@host.command("prepare")
@screen.command
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--check", is_flag=True, help="Only say what is lacking. Exit code 1: something is.")
def prepare(*, yes: bool, check: bool) -> None:
    """Say what this host lacks to carry instances, as a plan, and mend it. What fails is backed out."""
    from central_dispatch.host import local_run

    home = places.host_home()
    plan = local_run.look(home)
    if isinstance(plan, list):
        raise screen.Stop(exit_codes.FAILED, *plan)
    changes = [
        {"step": step.title, **{key: value for key, value in change.to_json().items() if key != "after"}}
        for step, made in plan.changes()
        for change in made
    ]
    if not screen.granted(settings.load(home)).default_certificate:
        click.echo(_NO_DEFAULT_CERTIFICATE, err=True)
    if not plan.steps:
        screen.say({"changes": [], "done": True}, "This host lacks nothing.")
        return
    screen.people().print(screen.table(changes, {"step": "Step", "verb": "Does", "what": "What", "where": "Where"}))
    if check:
        screen.show({"changes": changes, "done": False}, lambda _console: None)
        raise screen.Ended(exit_codes.FAILED)
    if not yes:
        click.confirm("Do this?", abort=True, err=True)
    screen.granted(local_run.carry_out(home, plan))
    screen.say({"changes": changes, "done": True}, "Done.")


@host.command("prepare-database")
@screen.command
@click.option("--account", default="central_dispatch", show_default=True, help="The provisioning account to make.")
@click.option("--root-user", default="root", show_default=True, help="The administrator that makes it.")
@click.option("--password", "by_password", is_flag=True, help="Ask for its password; without it: by socket, as root.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def prepare_database(account: str, root_user: str, *, by_password: bool, yes: bool) -> None:
    """Make a least-privileged account for provisioning; its password stays in a file that only root reads."""
    from central_dispatch.host import prepare_database as database

    home = places.host_home()
    statements = screen.granted(database.statements(home, account))
    screen.people().print(statements, markup=False)
    if not yes:
        click.confirm("Run these statements?", abort=True, err=True)
    password = str(click.prompt(f"Password of {root_user}", hide_input=True, err=True)) if by_password else ""
    _say_done(screen.granted(database.apply(home, account, root_user=root_user, root_password=password)))
