"""The command line: thin verbs over the services. Every command takes `--json` and ends with a documented code."""

import os
import sys

import click

from central_dispatch import __version__
from central_dispatch.cli.lazy import LazyGroup

_CLI = "central_dispatch.cli"
COMMANDS = {
    "audit": (f"{_CLI}.audit:audit", "Who did what."),
    "batch": (f"{_CLI}.batch:batch", "Batches of jobs: how far one is; interrupt, cancel, retry the whole of it."),
    "dispatcher": (f"{_CLI}.database:dispatcher", "The dispatcher's database on a server: its SQL, a check."),
    "doctor": (f"{_CLI}.doctor:doctor", "Say what is missing or wrong on this machine, and how to mend it."),
    "instance": (f"{_CLI}.instance:instance", "Managed instances: create, deploy, back out, delete."),
    "job": (f"{_CLI}.job:job", "Jobs: enqueue, list, show, tail, interrupt, retry, cancel; and their locks."),
    "queue": (f"{_CLI}.queue:queue", "Queues of jobs: list, set, pause, purge, requeue what failed."),
    "restored": (f"{_CLI}.restored:restored", "Say that the database was put back from a backup."),
    "run": (f"{_CLI}.run:run", "Runs: list, show, watch, decide about a stuck one."),
    "sandbox": (f"{_CLI}.sandbox:sandbox", "A private Apache, PHP-FPM and MariaDB to try things on."),
    "schedule": (f"{_CLI}.schedule:schedule", "Jobs that make themselves at their time."),
    "serve": (f"{_CLI}.serve:serve", "Run the dispatcher alone: portal, API, host API."),
    "source": (f"{_CLI}.source:source", "The sources of portal code on this host."),
    "token": (f"{_CLI}.token:token", "Tokens of programs that use the API."),
    "up": (f"{_CLI}.up:up", "Run everything on this one machine."),
    "user": (f"{_CLI}.user:user", "People who may log in to the portal: add, role, password."),
    "worker": (f"{_CLI}.worker:worker", "Workers: of hosts and of queues; add, invite, execute; and this host's own."),
}


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", prog_name="central-dispatch", message="%(prog)s %(version)s")
@click.option(
    "--home",
    type=click.Path(file_okay=False),
    envvar="CENTRAL_DISPATCH_HOME",
    help="Where everything is kept. Default: /var/lib/central-dispatch for root, else below your own home.",
)
@click.pass_context
def main(context: click.Context, home: str | None) -> None:
    """Run many copies of a web portal on many hosts: deploy, back out, delete, each done or undone."""
    context.call_on_close(_send_bells)
    if home:
        # Read by every part and every child process of this one.
        os.environ["CENTRAL_DISPATCH_HOME"] = os.path.abspath(home)  # noqa: PTH100 Path.absolute keeps ".."


def _send_bells() -> None:
    """Send what the command rang, before the interpreter ends. What it has not imported it has not used."""
    if (bells := sys.modules.get("central_dispatch.worker_manager.bells")) is not None:
        bells.close()
