"""What the API takes and gives, as models."""

from datetime import datetime
from typing import Any, Literal

from ninja import Schema
from pydantic import Field

from central_dispatch.fleet.models import Instance, Run, RunEvent, RunStep, Worker
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import (
    CertificateView,
    ChangeView,
    Facts,
    Item,
    ProblemView,
    SettingsView,
)


class ProblemDocument(Schema):
    """A problem (RFC 9457). Each entry of `problems` names the field at fault, if there is one."""

    type: str = "about:blank"
    status: int
    title: str
    problems: list[ProblemView] = Field(default=[])
    run: str = Field(default="", description="the run under way, where that is the reason")


class WorkerOut(Schema):
    """A host worker."""

    id: str
    name: str
    host_url: str
    install_path: str
    state: Literal["invited", "enrolled", "revoked"]
    online: bool
    last_seen: datetime | None
    fingerprint: str
    doing: str
    alert: str
    default_admin_email: str
    default_hostname_pattern: str
    default_schedule: bool
    allowed_users: list[int]
    facts: Facts
    settings: SettingsView


class WorkerIn(Schema):
    """A new worker."""

    name: str = Field(default="localhost", max_length=200)
    host_url: str = Field(default="localhost", max_length=300)
    install_path: str = Field(default="/var/www", max_length=300)


class WorkerSettingsIn(Schema):
    """What the portal decides about a worker."""

    default_admin_email: str = Field(default="", max_length=320)
    default_hostname_pattern: str = Field(default="{name}.{host}", max_length=253)
    default_schedule: bool = True
    allowed_users: list[int] = Field(default=[], description="empty: every operator may use it")


class InvitationOut(Schema):
    """A worker and the token that enrols it, shown once."""

    worker: WorkerOut
    token: str
    expires_at: datetime


class InstanceIn(Schema):
    """An instance as wanted. What is left blank gets the worker's default."""

    worker: str = Field(max_length=32)
    name: str = Field(max_length=200)
    hostnames: list[str] = Field(default=[], max_length=200)
    source: str = Field(default="", max_length=200)
    release: str = Field(default="", max_length=200)
    web_root: str = Field(default="", max_length=200)
    database: str = Field(default="", max_length=200)
    database_user: str = Field(default="", max_length=200)
    admin_email: str = Field(default="", max_length=400)
    schedule: bool | None = None
    own_certificate: bool = False
    certificate: str = Field(default="", max_length=65_536, description="PEM")
    key: str = Field(default="", max_length=65_536, description="PEM; sealed to the host, never given out")
    chain: str = Field(default="", max_length=262_144, description="PEM, in order")


class InstanceOut(Schema):
    """A managed instance."""

    id: str
    name: str
    worker: str
    state: str
    error: ProblemView | None
    hostnames: list[str]
    url: str
    source: str
    release: str
    web_root: str
    database: str
    database_user: str
    admin_email: str
    schedule: bool
    tls: Literal["default", "own"]
    certificate: CertificateView | None
    created_by: str
    created_at: datetime
    changed_at: datetime
    deployed_at: datetime | None
    deleted_at: datetime | None


class DeleteIn(Schema):
    """The typed confirmation of a deletion."""

    typed_name: str = Field(max_length=200)


class ClearIn(Schema):
    """The items of the last inventory that are confirmed."""

    items: list[str] = Field(min_length=1, max_length=200)


class StepOut(Schema):
    """A step of a run."""

    part: Literal["steps", "tail"]
    index: int
    name: str
    title: str
    state: str
    changes: list[ChangeView]
    started_at: datetime | None
    ended_at: datetime | None
    problem: ProblemView | None
    output: str
    output_cut: bool
    left: str


class RunOut(Schema):
    """A run."""

    id: str
    instance: str
    worker: str
    kind: str
    state: str
    open: bool
    requested_by: str
    wish: str
    wish_by: str
    problem: ProblemView | None
    problems: list[ProblemView]
    waiting: ProblemView | None
    left: list[str]
    found: list[Item]
    created_at: datetime
    claimed_at: datetime | None
    started_at: datetime | None
    committed_at: datetime | None
    ended_at: datetime | None


class RunDetailOut(RunOut):
    """A run with its steps."""

    steps: list[StepOut]


class EventOut(Schema):
    """A journal line of a run as its host reported it."""

    sequence: int
    at: datetime
    kind: str
    step: int
    data: dict[str, Any]


def problem_out(problem: Problem | None) -> ProblemView | None:
    """Return a problem in the API's form."""
    return ProblemView(**problem.to_json()) if problem else None


def worker_out(worker: Worker, now: datetime) -> WorkerOut:
    """Return a worker in the API's form."""
    same = ("id", "name", "host_url", "install_path", "state", "last_seen", "fingerprint", "doing", "alert")
    defaults = ("default_admin_email", "default_hostname_pattern", "default_schedule")
    return WorkerOut.model_validate(
        {
            **{name: getattr(worker, name) for name in (*same, *defaults)},
            "online": worker.is_online(now),
            "allowed_users": sorted(user.pk for user in worker.allowed_users.all()),
            "facts": worker.facts,
            "settings": worker.host_settings,
        }
    )


def instance_out(instance: Instance) -> InstanceOut:
    """Return an instance in the API's form; its key is in none."""
    same = ("id", "name", "state", "source", "release", "web_root", "database", "database_user", "admin_email")
    more = ("schedule", "tls", "url", "created_by", "created_at", "changed_at", "deployed_at", "deleted_at")
    return InstanceOut.model_validate(
        {
            **{name: getattr(instance, name) for name in (*same, *more)},
            "worker": instance.worker_id,
            "error": problem_out(instance.error),
            "hostnames": instance.hostname_list,
            "certificate": instance.certificate_view(),
        }
    )


def _run_values(run: Run) -> dict[str, Any]:
    same = ("id", "kind", "state", "requested_by", "wish", "wish_by", "left", "found")
    times = ("created_at", "claimed_at", "started_at", "committed_at", "ended_at")
    return {
        **{name: getattr(run, name) for name in (*same, *times)},
        "instance": run.instance_id,
        "worker": run.worker_id,
        "open": run.is_open,
        "problem": problem_out(run.problem),
        "problems": [problem_out(problem) for problem in run.problems],
        "waiting": problem_out(run.waiting),
    }


def run_out(run: Run) -> RunOut:
    """Return a run in the API's form."""
    return RunOut.model_validate(_run_values(run))


def run_detail_out(run: Run) -> RunDetailOut:
    """Return a run with its steps in the API's form."""
    return RunDetailOut.model_validate({**_run_values(run), "steps": [step_out(step) for step in run.steps.all()]})


def step_out(step: RunStep) -> StepOut:
    """Return a step in the API's form."""
    same = ("part", "index", "name", "title", "state", "changes", "started_at", "ended_at", "output", "output_cut")
    values = {name: getattr(step, name) for name in (*same, "left")}
    return StepOut.model_validate({**values, "problem": problem_out(step.problem)})


def event_out(event: RunEvent) -> EventOut:
    """Return a journal line in the API's form."""
    return EventOut(sequence=event.sequence, at=event.at, kind=event.kind, step=event.step, data=event.data)
