"""Verbs that change workers and instances, against a dispatcher with a scripted host."""

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result

from central_dispatch import cli
from central_dispatch.cli import exit_codes, main
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.home import dispatcher_directory, write_private
from central_dispatch.fleet.models import Instance, Run, Worker
from central_dispatch.fleet.services import runs
from central_dispatch.portal.accounts.people import add_person
from central_dispatch.provisioning.problem import Problem
from dispatchers import fleet


def call(*arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments])


def answered(*arguments: str) -> Any:
    done = call(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.fixture
def worker(administrator: Actor) -> Iterator[Worker]:
    """A worker; tests after these find no dispatcher again, since that is looked at once per process."""
    write_private(dispatcher_directory() / "secret-key", b"k")
    yield fleet.enrolled(administrator)[0]
    sys.modules.pop("central_dispatch.cli.dispatcher", None)
    vars(cli).pop("dispatcher", None)


def test_a_workers_defaults_are_changed_and_what_is_not_named_stays(administrator: Actor, worker: Worker) -> None:
    add_person(administrator, "ada", Role.OPERATOR)
    changed = answered("worker", "change", worker.name, "--admin-email", "a@example.com", "--allow", "ada")
    assert changed["allowed_users"] == ["ada"]
    changed = answered("worker", "change", worker.name, "--no-schedule")
    assert changed["default_admin_email"] == "a@example.com"
    assert changed["default_schedule"] is False
    assert changed["allowed_users"] == ["ada"]
    assert answered("worker", "change", worker.name, "--allow-all")["allowed_users"] == []
    assert call("worker", "change", worker.name, "--allow", "nobody").exit_code == exit_codes.NOT_FOUND
    refused = call("worker", "change", worker.name, "--admin-email", "nonsense")
    assert refused.exit_code == exit_codes.FAILED
    assert "default_admin_email" in refused.stderr


def test_a_draft_is_changed_and_what_is_not_named_stays(administrator: Actor, worker: Worker) -> None:
    draft = fleet.draft(administrator, worker)
    before = answered("instance", "show", draft.name)
    after = answered("instance", "change", draft.name, "--database", "other_one", "--no-schedule")
    assert after["database"] == "other_one"
    assert after["schedule"] is False
    kept = {key: value for key, value in before.items() if key not in {"database", "schedule"}}
    assert {key: after[key] for key in kept} == kept
    refused = call("instance", "change", draft.name, "--release", "99")
    assert refused.exit_code == exit_codes.FAILED
    assert refused.stderr.startswith("release: ")
    assert Instance.objects.get(pk=draft.pk).release == draft.release


def test_a_plan_with_problems_says_them_and_does_not_end_as_if_all_were_well(
    administrator: Actor, worker: Worker
) -> None:
    draft = fleet.draft(administrator, worker)
    run = runs.request_plan(administrator, draft.pk)
    assert isinstance(run, Run)
    problem = Problem("there is the database acme already", mend="Choose another name.", field="database")
    ended = {"state": Run.State.PLANNED, "open_key": None}
    Run.objects.filter(pk=run.pk).update(**ended, problems_json=[problem.to_json()])
    done = call("run", "watch", run.pk, "--timeout", "20")
    assert done.exit_code == exit_codes.UNDONE
    assert "Not ready" in done.stdout
    assert "there is the database acme already" in done.stdout
