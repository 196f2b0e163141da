"""The dispatcher's side of the command line: Django made ready, names looked up, refusals turned into endings."""

import getpass
import os
from typing import NoReturn, TypeVar

from central_dispatch.cli import exit_codes
from central_dispatch.cli.screen import Stop
from central_dispatch.fleet.home import dispatcher_directory, home_directory
from central_dispatch.portal.first_start import refuse_bad_database
from central_dispatch.portal.setup import prepare_django
from central_dispatch.provisioning.problem import Problem

if not (dispatcher_directory() / "secret-key").exists():
    raise Stop(
        exit_codes.NOT_FOUND,
        Problem(
            "There is no dispatcher here",
            f"{dispatcher_directory()} has never been started",
            "Start it with central-dispatch up (or serve), or name another place with --home.",
        ),
    )
refuse_bad_database(home_directory())
prepare_django()

from django.db import connection  # noqa: E402 Django is ready only now
from django.db.migrations.executor import MigrationExecutor  # noqa: E402 likewise

from central_dispatch.fleet import queries  # noqa: E402 Django is ready only now
from central_dispatch.fleet.actor import Actor, Role  # noqa: E402 likewise
from central_dispatch.fleet.models import Instance, Run, Worker  # noqa: E402 likewise
from central_dispatch.fleet.refusal import Refused  # noqa: E402 likewise
from central_dispatch.portal.accounts.models import User  # noqa: E402 likewise

_executor = MigrationExecutor(connection)
if _executor.migration_plan(_executor.loader.graph.leaf_nodes()):
    raise Stop(
        exit_codes.FAILED,
        Problem(
            "The dispatcher's database is of an older release than this program",
            mend="Start the dispatcher anew (central-dispatch up, or serve): it brings the database up to date.",
        ),
    )

__all__ = ["Actor", "Instance", "Run", "Worker", "actor", "queries"]
T = TypeVar("T")
_CODES = {"absent": exit_codes.NOT_FOUND}


def actor() -> Actor:
    """Return who calls: whoever may read the dispatcher's files administers it."""
    # sudo's own record of the person, for the audit trail; it grants nothing.
    return Actor(os.environ.get("SUDO_USER") or getpass.getuser(), Role.ADMINISTRATOR, via="cli")


def granted(answer: T | Refused) -> T:
    """Return what a service returned, or end the command with its refusal."""
    if isinstance(answer, Refused):
        hint = (Problem("The run under way", answer.run, f"Watch it: central-dispatch run watch {answer.run}"),)
        raise Stop(_CODES.get(answer.kind, exit_codes.FAILED), *answer.problems, *(hint if answer.run else ()))
    return answer


def find_worker(name: str) -> Worker:
    """Return a live worker by its name or id."""
    found = queries.workers().filter(name=name).first() or queries.worker(name)
    return found or _missing("worker", name, "central-dispatch worker list")


def find_instance(name: str) -> Instance:
    """Return an instance by its name (of the live ones) or id."""
    found = queries.instances().filter(name=name).first() or queries.instance(name)
    return found or _missing("instance", name, "central-dispatch instance list")


def find_user(username: str) -> User:
    """Return an account by its name."""
    return User.objects.filter(username=username).first() or _missing("user", username, "central-dispatch user list")


def find_run(run_id: str) -> Run:
    """Return a run with its steps, by its id or the beginning of it (8 digits or more)."""
    found = queries.run(run_id)
    if found is None and len(run_id) >= 8 and (near := list(queries.runs().filter(pk__startswith=run_id)[:2])):  # noqa: PLR2004 documented
        found = queries.run(near[0].pk) if len(near) == 1 else None
    return found or _missing("run", run_id, "central-dispatch run list")


def missing_run(run_id: str) -> NoReturn:
    """End the command: there is no such run."""
    _missing("run", run_id, "central-dispatch run list")


def _missing(what: str, name: str, mend: str) -> NoReturn:
    raise Stop(exit_codes.NOT_FOUND, Problem(f"There is no {what} “{name}”", mend=f"Look at the list: {mend}"))
