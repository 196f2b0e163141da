"""`worker`: the dispatcher's workers; `worker host` is this machine's own."""

from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import exit_codes, screen
from central_dispatch.cli.lazy import LazyGroup
from central_dispatch.provisioning.problem import Problem

if TYPE_CHECKING:
    from rich.console import Console

    from central_dispatch.fleet.models import Worker
    from central_dispatch.fleet.services.workers import Invitation

_QUEUES = "central_dispatch.cli.worker_execute"
_TABLE = {
    "assignment": (
        "central_dispatch.cli.worker_assignment:assignment",
        "What queue workers of a name serve: list, set, remove.",
    ),
    "execute": (f"{_QUEUES}:execute", "Run the jobs of the queues, or of some."),
    "host": ("central_dispatch.cli.worker_host:host", "This machine's host worker: enrol, configure, run."),
    "install": ("central_dispatch.cli.worker_service:install", "Install a queue worker as a service."),
    "run-service": (f"{_QUEUES}:run_service", "Run one job here, in the foreground."),
    "show-configuration": (f"{_QUEUES}:show_configuration", "Every queue's settings, and how much is in it."),
    "uninstall": ("central_dispatch.cli.worker_service:uninstall", "Remove a queue worker's service."),
}


@click.group(cls=LazyGroup, table=_TABLE)
def worker() -> None:
    """Workers: the hosts that instances run on, and those that run jobs."""


@worker.command("list")
@screen.command
@click.option("--hosts", is_flag=True, help="Only host workers: those that deploy instances.")
@click.option("--queues", is_flag=True, help="Only queue workers: those that run jobs.")
def list_workers(*, hosts: bool, queues: bool) -> None:
    """List the workers: those of the hosts, which deploy instances, and those of the queues, which run jobs."""
    from central_dispatch.cli import dispatcher, queue_workers

    both = hosts == queues
    of_hosts = [{"kind": "host", **to_json(one)} for one in dispatcher.queries.workers()] if hosts or both else []
    of_queues = queue_workers.views() if queues or both else []

    def words(console: "Console") -> None:
        if hosts or both:
            columns = {"name": "Host worker", "state": "State", "online": "Online", "platform": "Platform"}
            empty = "There is no host worker: central-dispatch worker add NAME"
            table = screen.table(of_hosts, columns | {"doing": "Doing", "alert": "Alert"}, ("doing", "alert"))
            console.print(table if of_hosts else empty)
        if both:
            console.print()
        if queues or both:
            console.print(queue_workers.table(of_queues) if of_queues else queue_workers.EMPTY)

    screen.show([*of_hosts, *of_queues], words)


@worker.command("show")
@screen.command
@click.argument("name")
def show_worker(name: str) -> None:
    """Show a worker: what its host found, and its sources."""
    from central_dispatch.cli import dispatcher

    found = dispatcher.find_worker(name)
    value = to_json(found)
    plain = {
        key.replace("_", " ").capitalize(): value[key] for key in value if not isinstance(value[key], (dict, list))
    }
    sources = [
        f"{one.name} ({', '.join(one.releases) or one.problem or 'no release'})" for one in found.host_settings.sources
    ]
    facts = found.facts
    looked = {
        "Web server": facts.web_server,
        "Php": facts.php,
        "Database": facts.database_server,
        "Users": "each instance has its own" if facts.separate_users else "everything runs as one user",
        "Default certificate": value["settings"]["default_certificate"]
        and "for " + ", ".join(value["settings"]["default_certificate"]["names"]),
    }
    allowed = {"May be used by": value["allowed_users"] or "every operator"}
    shown = screen.facts({**plain, **allowed, **looked, "Sources": sources, "Problems": facts.problems})
    screen.show(value, lambda console: console.print(shown))


@worker.command("add")
@screen.command
@click.argument("name", default="localhost")
@click.option("--host-url", default="localhost", show_default=True, help="Base of default hostnames and links.")
@click.option("--install-path", default="/var/www", show_default=True, help="Where web roots shall lie.")
def add_worker(name: str, host_url: str, install_path: str) -> None:
    """Add a worker and print the token that enrols its host. The token works once, for a day."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.forms import WorkerForm
    from central_dispatch.fleet.services import workers
    from central_dispatch.portal.tls import dispatcher_pin

    form = WorkerForm(name=name, host_url=host_url, install_path=install_path)
    show_invitation(dispatcher.granted(workers.create_worker(dispatcher.actor(), form, dispatcher_pin())))


@worker.command("change")
@screen.command
@click.argument("name")
@click.option("--admin-email", "default_admin_email", help="Administrator e-mail of new instances; empty for none.")
@click.option("--hostname-pattern", "default_hostname_pattern", help="Such as {name}.{host}.")
@click.option("--schedule/--no-schedule", "default_schedule", default=None, help="New instances' scheduled task.")
@click.option("--allow", "allowed", multiple=True, help="An operator who may use it, and no other; may be repeated.")
@click.option("--allow-all", is_flag=True, help="Every operator may use it.")
def change_worker(name: str, allowed: tuple[str, ...], *, allow_all: bool, **given: Any) -> None:  # noqa: ANN401 the options above
    """Change what new instances start with, and who may use the worker. What is not named stays."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.forms import WorkerSettings
    from central_dispatch.fleet.services import workers

    if allowed and allow_all:
        raise screen.Stop(exit_codes.USAGE, Problem("Name people with --allow, or --allow-all"))
    found = dispatcher.find_worker(name)
    users = {one.username: one.pk for one in found.allowed_users.all()}
    if allowed or allow_all:
        users = {username: dispatcher.find_user(username).pk for username in allowed}
    kept = ("default_admin_email", "default_hostname_pattern", "default_schedule")
    values = {key: getattr(found, key) if given[key] is None else given[key] for key in kept}
    form = WorkerSettings(**values, allowed_user_ids=tuple(users.values()))
    changed = dispatcher.granted(workers.update_worker(dispatcher.actor(), found.pk, form))
    screen.say(to_json(changed), f"{changed.name} is changed.")


@worker.command("invite")
@screen.command
@click.argument("name")
def invite_worker(name: str) -> None:
    """Make a new token for a worker; tokens before it stop working."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.services import workers
    from central_dispatch.portal.tls import dispatcher_pin

    found = dispatcher.find_worker(name)
    show_invitation(dispatcher.granted(workers.invite(dispatcher.actor(), found.pk, dispatcher_pin())))


@worker.command("accept")
@screen.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def accept_worker(name: str, *, yes: bool) -> None:
    """Accept a host that raised an alert: a second host worker, a restored copy, a changed machine."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.services import workers

    found = dispatcher.find_worker(name)
    if not yes:
        click.confirm(f"{found.alert or 'There is no alert.'}\nLet {found.name} take orders?", abort=True, err=True)
    accepted = dispatcher.granted(workers.accept_host(dispatcher.actor(), found.pk))
    screen.say(to_json(accepted), f"{accepted.name} takes orders again.")


@worker.command("revoke")
@screen.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def revoke_worker(name: str, *, yes: bool) -> None:
    """Take a worker's credential away for good."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.services import workers

    found = dispatcher.find_worker(name)
    if not yes:
        click.confirm(f"Revoke {found.name} for good?", abort=True, err=True)
    revoked = dispatcher.granted(workers.revoke(dispatcher.actor(), found.pk))
    screen.say(to_json(revoked), f"{revoked.name} is revoked.")


def show_invitation(invitation: "Invitation") -> None:
    """Print the token, and the command that takes it by standard input."""
    value = {
        "worker": invitation.worker.name,
        "id": invitation.worker.pk,
        "token": invitation.token,
        "expires_at": invitation.expires_at.isoformat(timespec="seconds"),
    }
    lines = (
        f"Token for {invitation.worker.name}, shown only now, until {value['expires_at']}:\n\n  {invitation.token}\n\n"
        "On the host, as root, then paste the token:\n\n"
        "  central-dispatch worker host enroll --url https://THIS-DISPATCHER:8700"
    )
    screen.say(value, lines)


def to_json(found: "Worker") -> dict[str, Any]:
    """Return a worker as `--json` prints it."""
    from django.utils import timezone

    return {
        "name": found.name,
        "state": found.state,
        "online": found.is_online(timezone.now()),
        "host_url": found.host_url,
        "install_path": found.host_settings.install_path or found.install_path,
        "default_admin_email": found.default_admin_email,
        "default_hostname_pattern": found.default_hostname_pattern,
        "default_schedule": found.default_schedule,
        "allowed_users": sorted(one.username for one in found.allowed_users.all()),
        "platform": found.facts.platform,
        "doing": found.doing,
        "alert": found.alert,
        "last_seen": found.last_seen.isoformat(timespec="seconds") if found.last_seen else None,
        "fingerprint": found.fingerprint,
        "worker_version": found.worker_version,
        "id": found.pk,
        "facts": found.facts.model_dump(mode="json"),
        "settings": found.host_settings.model_dump(mode="json"),
    }
