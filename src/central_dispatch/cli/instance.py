"""`instance`: managed instances."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from central_dispatch.cli import screen

if TYPE_CHECKING:
    from central_dispatch.fleet.models import Instance, Run

_PEM = click.Path(exists=True, dir_okay=False, path_type=Path)
_wait = click.option("--wait/--no-wait", default=True, help="Watch the run to its end.")


@click.group()
def instance() -> None:
    """Create, deploy, back out and delete managed instances: copies of a portal on the workers' hosts."""


@instance.command("list")
@screen.command
@click.option("--worker", "worker_name", default="", help="Only those of this worker.")
@click.option("--state", default="", help="Only those in this state, such as active or in_error.")
def list_instances(worker_name: str, state: str) -> None:
    """List the instances."""
    from central_dispatch.cli import dispatcher

    worker = dispatcher.find_worker(worker_name).pk if worker_name else ""
    found = dispatcher.queries.instances(worker=worker, state=state)
    columns = {"name": "Name", "state": "State", "url": "Address", "source": "Source", "release": "Release"}
    screen.rows([to_json(one) for one in found], {**columns, "worker": "Worker"}, "There is no instance.")


@instance.command("show")
@screen.command
@click.argument("name")
def show_instance(name: str) -> None:
    """Show an instance: its values, state and last error."""
    from central_dispatch.cli import dispatcher

    show(dispatcher.find_instance(name))


@instance.command("create")
@screen.command
@click.argument("name")
@click.option("--worker", "worker_name", required=True, help="Where it shall run.")
@click.option("--source", required=True, help="A source of that worker.")
@click.option("--release", required=True, help="A release of that source.")
@click.option("--hostname", "hostnames", multiple=True, help="May be given again; the first one is the main one.")
@click.option("--web-root", default="", help="Directory below the install path. Default: from the name.")
@click.option("--database", default="", help="Default: from the name.")
@click.option("--database-user", default="", help="Default: from the name.")
@click.option("--admin-email", default="", help="Default: the worker's.")
@click.option("--schedule/--no-schedule", default=None, help="Run its scheduled task. Default: the worker's.")
@click.option("--certificate", type=_PEM, help="Own certificate, PEM. Default: the worker's default certificate.")
@click.option("--key", type=_PEM, help="Its private key's file, PEM.")
@click.option("--chain", type=_PEM, help="Intermediate certificates in order, PEM.")
def create_instance(name: str, worker_name: str, **given: Any) -> None:  # noqa: ANN401 the options above
    """Make a draft. Nothing is done on the host: `instance plan` shows what a deployment would do."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.forms import InstanceForm
    from central_dispatch.fleet.services import instances

    pem: dict[str, Any] = {
        part: path.read_text() if (path := given.pop(part)) else "" for part in ("certificate", "key", "chain")
    }
    form = InstanceForm(
        worker=dispatcher.find_worker(worker_name).pk, name=name, own_certificate=any(pem.values()), **pem, **given
    )
    show(dispatcher.granted(instances.create_instance(dispatcher.actor(), form)))


@instance.command("change")
@screen.command
@click.argument("name")
@click.option("--worker", "worker_name", help="Another worker; an own certificate's key is needed again then.")
@click.option("--source")
@click.option("--release")
@click.option("--hostname", "hostnames", multiple=True, help="Replaces all hostnames; may be repeated.")
@click.option("--web-root")
@click.option("--database")
@click.option("--database-user")
@click.option("--admin-email")
@click.option("--schedule/--no-schedule", default=None)
@click.option("--default-certificate", is_flag=True, help="The worker's instead of an own one.")
@click.option("--certificate", type=_PEM, help="Own certificate, PEM.")
@click.option("--key", type=_PEM, help="Its private key's file, PEM.")
@click.option("--chain", type=_PEM, help="Intermediate certificates in order, PEM.")
def change_instance(name: str, worker_name: str | None, *, default_certificate: bool, **given: Any) -> None:  # noqa: ANN401 the options above
    """Change a draft, or one whose deployment was backed out. What is not named stays."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.forms import InstanceForm
    from central_dispatch.fleet.services import instances

    found = dispatcher.find_instance(name)
    pem: dict[str, Any] = {
        part: path.read_text() if (path := given.pop(part)) else "" for part in ("certificate", "key", "chain")
    }
    hostnames = given.pop("hostnames") or tuple(found.hostname_list)
    values = {key: getattr(found, key) if value is None else value for key, value in given.items()}
    form = InstanceForm(
        worker=dispatcher.find_worker(worker_name).pk if worker_name else found.worker_id,
        name=found.name,
        hostnames=hostnames,
        own_certificate=any(pem.values()) or (found.tls == "own" and not default_certificate),
        **pem,
        **values,
    )
    show(dispatcher.granted(instances.update_instance(dispatcher.actor(), found.pk, form)))


@instance.command("plan")
@screen.command
@click.argument("name")
def plan_instance(name: str) -> None:
    """Have the host say what a deployment would do: each step, on which path, in which database."""
    from central_dispatch.cli import dispatcher, run_screen
    from central_dispatch.fleet.services import runs

    found = dispatcher.granted(runs.request_plan(dispatcher.actor(), dispatcher.find_instance(name).pk))
    ended = run_screen.watch(found.pk)
    if not ended.worker.facts.separate_users:
        click.echo(f"The host worker of {ended.worker.name} is not root: everything runs as its own user.", err=True)
    run_screen.finish(ended, changes=True)


@instance.command("deploy")
@screen.command
@click.argument("name")
@_wait
def deploy_instance(name: str, *, wait: bool) -> None:
    """Deploy it. A step that fails has everything backed out by itself."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.services import runs

    started(dispatcher.granted(runs.deploy(dispatcher.actor(), dispatcher.find_instance(name).pk)), wait=wait)


@instance.command("back-out")
@screen.command
@click.argument("name")
@_wait
def back_out_instance(name: str, *, wait: bool) -> None:
    """Back out the deployment that is under way. A deployed instance is deleted instead."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.cli.exit_codes import FAILED
    from central_dispatch.cli.run import turned
    from central_dispatch.fleet.services import runs
    from central_dispatch.provisioning.problem import Problem

    found = dispatcher.queries.open_run(dispatcher.find_instance(name))
    if found is None:
        mend = f"To take a deployed instance away: central-dispatch instance delete {name}"
        raise screen.Stop(FAILED, Problem(f"No run of {name} is under way", mend=mend))
    turned(dispatcher.granted(runs.back_out(dispatcher.actor(), found.pk)).pk, wait=wait)


@instance.command("delete")
@screen.command
@click.argument("name")
@click.option("--confirm", default="", help="The instance's name once more; asked for where it is not given.")
@_wait
def delete_instance(name: str, confirm: str, *, wait: bool) -> None:
    """Delete it. Its database dump and its files go to the host's archive directory first."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.models import Run
    from central_dispatch.fleet.services import runs

    found = dispatcher.find_instance(name)
    typed = confirm or click.prompt(f"Type {found.name} to delete it", err=True)
    answer = runs.delete(dispatcher.actor(), found.pk, typed)
    if isinstance(answer, Run):
        started(answer, wait=wait)
    else:
        gone = dispatcher.granted(answer)
        screen.say(to_json(gone), f"{gone.name} is deleted; nothing of it was on the host.")


@instance.command("inventory")
@screen.command
@click.argument("name")
def inventory_instance(name: str) -> None:
    """List what on the host bears the instance's names: for a host that has lost its journal."""
    from central_dispatch.cli import dispatcher, run_screen
    from central_dispatch.fleet.services import runs

    found = dispatcher.granted(runs.request_inventory(dispatcher.actor(), dispatcher.find_instance(name).pk))
    run_screen.finish(run_screen.watch(found.pk))


@instance.command("clear")
@screen.command
@click.argument("name")
@click.option("--item", "items", multiple=True, required=True, help="A key of the last inventory; may be given again.")
@click.option("--yes", is_flag=True, help="Do not ask for each item.")
@_wait
def clear_instance(name: str, items: tuple[str, ...], *, yes: bool, wait: bool) -> None:
    """Clear items of the last inventory from the host, each confirmed."""
    from central_dispatch.cli import dispatcher
    from central_dispatch.fleet.services import runs

    found = dispatcher.find_instance(name)
    last = dispatcher.queries.latest_inventory(found)
    known = {item.key: item.what for item in last.found} if last else {}
    confirmed = tuple(key for key in items if yes or click.confirm(f"Remove {known.get(key, key)}?", err=True))
    started(dispatcher.granted(runs.clear_items(dispatcher.actor(), found.pk, confirmed)), wait=wait)


def started(run: "Run", *, wait: bool) -> None:
    """Watch a run to its end, or say how to."""
    from central_dispatch.cli import run_screen

    if wait:
        run_screen.finish(run_screen.watch(run.pk))
    else:
        screen.say(run_screen.summary(run), f"Started. Watch it: central-dispatch run watch {run.pk}")


def show(found: "Instance") -> None:
    """Show one instance."""
    value = to_json(found)
    error = screen.problem_lines([found.error]) if found.error else []

    def words(console: Any) -> None:  # noqa: ANN401 rich's console, which mypy knows from `screen.show`
        console.print(screen.facts({key.replace("_", " ").capitalize(): value[key] for key in value if key != "error"}))
        for line in error:
            console.print(line, markup=False, style="red")

    screen.show(value, words)


def to_json(found: "Instance") -> dict[str, Any]:
    """Return an instance as `--json` prints it; never its key."""
    return {
        "name": found.name,
        "state": found.state,
        "url": found.url,
        "hostnames": found.hostname_list,
        "worker": found.worker.name,
        "source": found.source,
        "release": found.release,
        "web_root": found.web_root,
        "database": found.database,
        "database_user": found.database_user,
        "admin_email": found.admin_email,
        "schedule": found.schedule,
        "tls": found.tls,
        "id": found.pk,
        "error": found.error.to_json() if found.error else None,
    }
