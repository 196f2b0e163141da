"""Jobs and queues over the API: the pages' services, secrets hidden, pages by place, problems as documents."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.utils import timezone

from central_dispatch.fleet.actor import Role
from central_dispatch.jobs.job import NewJob
from central_dispatch.portal.accounts.models import User
from central_dispatch.worker_manager import enqueueing, job_record
from central_dispatch.worker_manager.models import Job

pytestmark = pytest.mark.usefixtures("database")
Ask = Callable[..., tuple[int, Any]]


@pytest.fixture
def ask(person: Callable[..., User], browser: Callable[..., Client]) -> Ask:
    client = browser(person(Role.WORKER_MANAGER), csrf=False)

    def call(method: str, path: str, body: object = None) -> tuple[int, Any]:
        answer = client.generic(
            method, f"/api/v1/{path}", json.dumps(body or {}), content_type="application/json", secure=True
        )
        return answer.status_code, json.loads(answer.content)

    return call


def put(count: int, **payload: object) -> list[int]:
    with transaction.atomic():
        made = enqueueing.enqueue([NewJob(kind="housekeeping", payload=payload) for _ in range(count)])
    return [number for number in made if number is not None]


def test_a_list_is_read_page_by_page_and_holds_each_job_once(ask: Ask) -> None:
    jobs = put(7, record=1)
    seen, after = [], ""
    while True:
        code, page = ask("GET", f"jobs?limit=3&order=oldest&after={after.replace('+', '%2B')}")
        assert code == 200
        seen += [one["id"] for one in page["items"]]
        if not (after := page["next"]):
            break
    assert seen == jobs


def test_no_secret_is_given_out(ask: Ask) -> None:
    (job,) = put(1, password="hunter2-hunter2")
    for path in ("jobs", f"jobs/{job}"):
        assert "hunter2" not in json.dumps(ask("GET", path)[1])


def test_a_job_is_made_cancelled_and_tried_again(ask: Ask) -> None:
    code, job = ask("POST", "jobs", {"queue": "housekeeping", "payload": {"n": 1}})
    assert (code, job["state"]) == (201, "waiting")
    assert ask("POST", f"jobs/{job['id']}/cancel") == (200, {"id": job["id"], "how": "interrupted"})
    assert ask("POST", f"jobs/{job['id']}/cancel")[0] == 409
    assert ask("POST", f"jobs/{job['id']}/retry") == (200, {"id": job["id"], "how": "waiting"})


def test_a_queue_is_shown_changed_and_emptied(ask: Ask) -> None:
    jobs = put(3)
    Job.objects.filter(pk=jobs[0]).update(state="in_error", ended_at=timezone.now(), expires_at=timezone.now())
    assert ask("POST", "queues/housekeeping/requeue-failed") == (200, {"jobs": 1})
    assert ask("PATCH", "queues/housekeeping/settings", {"max_attempts": 4})[1]["settings"]["max_attempts"] == 4
    code, problem = ask("PATCH", "queues/housekeeping/settings", {"max_attempts": 0})
    assert (code, problem["problems"][0]["field"]) == (422, "max_attempts")
    assert ask("POST", "queues/housekeeping/pause")[1]["state"] == "paused"
    assert job_record.settings("housekeeping").paused
    assert ask("POST", "queues/housekeeping/purge") == (200, {"jobs": 3})


@pytest.mark.parametrize(
    "query",
    ["after=x", "after=1~1", "after=0001-01-01T00:00:00%2B14:00~1", "since=0001-01-01T00:00:00%2B14:00", "state=lost",
     "limit=0", "batch=0", "batch=99999999999999999999", "after=5~99999999999999999999&batch=1", "order=shortest"],
)  # fmt: skip
def test_nonsense_is_a_problem_document(ask: Ask, query: str) -> None:
    code, problem = ask("GET", f"jobs?{query}")
    assert code == 422
    assert problem["problems"]


@pytest.mark.parametrize("path", ["jobs/99999999999999999999", "jobs/0", "jobs/-1", "queues/nothing"])
def test_what_is_not_there_is_a_404(ask: Ask, path: str) -> None:
    assert ask("GET", path)[0] == 404
