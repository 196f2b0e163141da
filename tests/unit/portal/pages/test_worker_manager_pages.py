"""The Worker Manager's pages on the server: masked, escaped, bounded, and no update of another one is lost."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from central_dispatch.fleet.actor import Role
from central_dispatch.jobs.job import NewJob
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.portal.pages.fragments import FRAGMENTS, FRESH_S, Fragments
from central_dispatch.portal.pages.jobs.words import Circumstances, why_not
from central_dispatch.worker_manager import enqueueing, job_record
from central_dispatch.worker_manager.counts import forget
from central_dispatch.worker_manager.models import Job
from central_dispatch.worker_manager.rates import forget_rates

pytestmark = pytest.mark.usefixtures("database")
SECRET = "hunter2-is-a-secret"
EVIL = "<script>alert(1)</script>"
SETTINGS = "/worker-manager/settings/housekeeping/"


@pytest.fixture
def client(person: Callable[..., User], browser: Callable[..., Client]) -> Client:
    return browser(person(Role.WORKER_MANAGER), csrf=False)


def put(count: int = 1, **payload: object) -> list[int]:
    with transaction.atomic():
        made = enqueueing.enqueue([NewJob(kind="housekeeping", payload={**payload}) for _ in range(count)])
    return [number for number in made if number is not None]


def text(client: Client, address: str) -> str:
    answer = client.get(address, secure=True)
    assert answer.status_code == 200, address
    return answer.content.decode()


def test_no_secret_of_a_payload_or_result_is_on_any_page(client: Client) -> None:
    (job,) = put(password=SECRET, nested={"api_key": SECRET}, record=1)
    Job.objects.filter(pk=job).update(result={"token": SECRET}, state="in_error", ended_at=timezone.now())
    for address in (
        "/",
        "/worker-manager/jobs/",
        f"/worker-manager/jobs/{job}/",
        "/worker-manager/queues/housekeeping/",
    ):
        assert SECRET not in text(client, address), address


def test_markup_in_a_payload_an_error_or_a_name_is_text(client: Client) -> None:
    (job,) = put(record=EVIL)
    Job.objects.filter(pk=job).update(error=EVIL, words=EVIL, state="in_error", ended_at=timezone.now(), ended_by=EVIL)
    Job.objects.filter(pk=job).update(expires_at=timezone.now() + timedelta(hours=5), queue="x'\"<quoted>")
    for address in ("/", "/worker-manager/jobs/", f"/worker-manager/jobs/{job}/", "/worker-manager/queues/"):
        page = text(client, address)
        assert EVIL not in page, address
        assert "<quoted>" not in page, address


def test_an_address_with_nonsense_shows_a_list_and_no_error(client: Client) -> None:
    put(3)
    for query in (
        "state=lost", "order=shortest", "after=x~y", "after=2026-11-24T10:00:00~1&order=oldest", "before=~", "batch=-1",
        "batch=99999999999999999999999", "from=yesterday&to=0000-00-00", "span=9y", "held=a,b,,1", "q=%00", "q=%",
        "record=%27", "instance=nothing", "after=5~5&batch=7", "q=99999999999999999999", "from=9999-12-31T23:59",
        "from=0001-01-01T00:00%2B14:00", "after=0001-01-01T00:00%2B14:00~1", "to=9999-12-31T23:59-14:00",
    ):  # fmt: skip
        assert client.get(f"/worker-manager/jobs/?{query}", secure=True).status_code == 200, query
    assert client.get("/worker-manager/jobs/99999999999999999999999/", secure=True).status_code == 404


def over_all(client: Client, query: str, **more: str) -> HttpResponse:
    values = {"filter": query, "over": "all", **more}
    answer: HttpResponse = client.post("/worker-manager/jobs/cancel/", values, secure=True, follow=True)
    return answer


@pytest.mark.parametrize("query", ["batch=12a", "from=yesterday", "to=2026-13-01", "span=9y", "batch=1&from=soon"])
def test_nothing_is_done_to_all_that_a_list_finds_by_a_filter_that_cannot_be_read(client: Client, query: str) -> None:
    put(3)
    for confirm in ("", "yes"):
        page = over_all(client, f"?{query}", confirm=confirm).content.decode()
        assert "cannot be read. Mend this filter first." in page
        assert "Cancel 3" not in page
    assert Job.objects.filter(state="waiting").count() == 3
    assert "cannot be read. The list is as if" in text(client, f"/worker-manager/jobs/?{query}")
    assert "cannot be read" not in text(client, "/worker-manager/jobs/?batch=12&from=2026-01-01T10:00&span=1h")


def test_a_confirmation_names_the_filters_that_count_and_no_other(client: Client) -> None:
    jobs = put(2)
    page = over_all(client, f"?q={jobs[0]}&queue=ftp&batch=4").content.decode()
    assert re.findall(r"<dt>([^<]+)</dt><dd>([^<]+)</dd>", page)[0] == ("Error text or number", str(jobs[0]))
    assert "<dd>ftp</dd>" not in page
    assert "<dt>Batch</dt>" not in page
    assert "not heeded: Queue, Batch." in text(client, f"/worker-manager/jobs/?q={jobs[0]}&queue=ftp&batch=4")
    page = over_all(client, "?queue=housekeeping&from=2026-01-01T10:00&span=1h").content.decode()
    assert "<dd>housekeeping</dd>" in page
    assert "<dt>Within</dt>" not in page
    assert "Cancel 2" in page


def test_within_a_span_of_what_is_to_come_looks_ahead_in_a_batch_too(client: Client) -> None:
    jobs = put(2)
    Job.objects.filter(pk=jobs[0]).update(batch=7, batch_index=1)
    Job.objects.filter(pk=jobs[1]).update(batch=7, batch_index=2, due_at=timezone.now() + timedelta(days=2))
    for query, found in (("span=1d", [True, False]), ("span=7d", [True, True])):
        page = text(client, f"/worker-manager/jobs/?state=waiting&batch=7&{query}")
        assert [f'id="job-{job}"' in page for job in jobs] == found, query


def test_a_percent_sign_is_looked_for_as_itself(client: Client) -> None:
    jobs = put(2)
    Job.objects.filter(pk=jobs[0]).update(error="50% done", state="in_error", ended_at=timezone.now())
    Job.objects.filter(pk=jobs[1]).update(error="50 done", state="in_error", ended_at=timezone.now())
    page = text(client, "/worker-manager/jobs/?q=50%25")
    assert f'id="job-{jobs[0]}"' in page
    assert f'id="job-{jobs[1]}"' not in page


def test_a_page_asks_the_database_as_often_for_fifty_jobs_as_for_two(client: Client) -> None:
    addresses = ("/", "/worker-manager/jobs/", "/worker-manager/queues/", "/worker-manager/workers/")
    found = []
    text(client, "/")
    for count in (2, 48):
        put(count, record=1)
        counts = {}
        for address in addresses:
            forget()
            forget_rates()
            FRAGMENTS.forget()
            with CaptureQueriesContext(connection) as queries:
                text(client, address)
            counts[address] = len(queries)
        found.append(counts)
    assert found[0] == found[1]
    assert max(found[1].values()) <= 25


def form(**changes: str) -> dict[str, str]:
    """Return the form as the page has it, with some fields typed anew."""
    now = job_record.settings("housekeeping")
    from central_dispatch.portal.pages.queues.forms import SettingsForm, written  # noqa: PLC0415 Django is ready here

    values = {}
    for name in SettingsForm(now, now).fields:
        if name.startswith("seen-"):
            value = getattr(now, name.removeprefix("seen-"))
            values[name] = written(value)
            if value is not False:
                values[name.removeprefix("seen-")] = written(value)
    return values | changes


def test_a_setting_out_of_bounds_is_said_at_its_field_and_nothing_is_changed(client: Client) -> None:
    answer = client.post(SETTINGS, form(max_attempts="0", grace_s="-1", time_limit_s="soon"), secure=True)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert 'id="id_time_limit_s-error"' in page
    answer = client.post(SETTINGS, form(max_attempts="0", grace_s="-1"), secure=True)
    page = answer.content.decode()
    assert "Use a number from 1 to 1000" in page
    assert 'id="id_grace_s-error"' in page
    assert job_record.settings("housekeeping").max_attempts == 3


def test_a_change_holds_is_on_record_and_only_what_was_changed_is_written(client: Client) -> None:
    assert client.post(SETTINGS, form(max_attempts="5", paused="on"), secure=True).status_code == 302
    now = job_record.settings("housekeeping")
    assert (now.max_attempts, now.paused) == (5, True)
    entry = AuditEntry.objects.filter(what="queue.change").latest("id")
    assert entry.after == {"max_attempts": 5, "paused": True}


def test_what_another_one_changed_meanwhile_is_kept_or_asked_about(client: Client) -> None:
    mine = form(max_attempts="5")
    client.post(SETTINGS, form(grace_s="7", max_attempts="9"), secure=True)
    answer = client.post(SETTINGS, mine, secure=True)
    assert answer.status_code == 422
    assert "Somebody changed this meanwhile: it is 9 now" in answer.content.decode()
    assert job_record.settings("housekeeping").max_attempts == 9
    other = form(time_limit_s="99") | {"seen-grace_s": "10", "grace_s": "10"}  # a page that is older than the 7
    assert client.post(SETTINGS, other, secure=True).status_code == 302
    now = job_record.settings("housekeeping")
    assert (now.time_limit_s, now.grace_s) == (99, 7)


def test_a_part_is_rendered_once_for_many_and_anew_after_its_time() -> None:
    fragments, calls = Fragments(fresh_s=3600, most=2), []

    def render() -> str:
        calls.append(1)
        return str(len(calls))

    assert [fragments.get("a", render), fragments.get("a", render), fragments.get("b", render)] == ["1", "1", "2"]
    fragments.get("c", render)  # "a" goes: it was used longest ago
    assert fragments.get("a", render) == "4"
    assert Fragments(fresh_s=0).get("a", render) == "5"


def test_what_a_page_does_is_in_the_part_that_is_asked_for_next(client: Client) -> None:
    (job,) = put()
    part = {"secure": True, "headers": {"HX-Request": "true"}}
    FRAGMENTS._fresh_s = 3600
    try:
        assert f'id="job-{job}"' in client.get("/worker-manager/jobs/?state=waiting&order=due", **part).content.decode()
        client.post(f"/worker-manager/jobs/{job}/cancel/", secure=True)
        page = client.get("/worker-manager/jobs/?state=waiting&order=due", **part).content.decode()
        assert f'id="job-{job}"' not in page
    finally:
        FRAGMENTS._fresh_s = FRESH_S
        FRAGMENTS.forget()


def test_a_part_is_not_shared_between_different_rights(
    person: Callable[..., User], browser: Callable[..., Client]
) -> None:
    put(1, record=1)
    pages = {}
    for role in (Role.WORKER_MANAGER, Role.VIEWER):
        answer = browser(person(role)).get("/worker-manager/jobs/", secure=True, headers={"HX-Request": "true"})
        pages[role] = answer.content.decode()
    assert 'name="job"' in pages[Role.WORKER_MANAGER]
    assert 'name="job"' not in pages[Role.VIEWER]


@pytest.mark.parametrize(
    ("found", "due_in_s", "says"),
    [
        (Circumstances(paused=True, limit=None, running=0, served=True), 0, "paused"),
        (Circumstances(paused=False, limit=None, running=0, served=False), 0, "No queue worker"),
        (Circumstances(paused=False, limit=None, running=0, served=True, holders=(7,)), 9, "job 7 holds"),
        (Circumstances(paused=False, limit=2, running=2, served=True), 0, "2 of its queue run"),
        (Circumstances(paused=False, limit=2, running=2, served=True), 9, "next attempt"),
        (Circumstances(paused=False, limit=None, running=0, served=True), 0, "a worker takes it"),
    ],
)
def test_a_job_that_waits_says_why(found: Circumstances, due_in_s: int, says: str) -> None:
    now = timezone.now()
    job = Job(state="waiting", waiting_for="retry", waits_on="record:1", due_at=now + timedelta(seconds=due_in_s))
    assert says in why_not(job, found, now)
