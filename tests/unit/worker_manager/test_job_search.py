"""The list of jobs: whatever is asked for, the pages hold each job once, in order, and no question looks too far."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central_dispatch.jobs.job import NewJob
from central_dispatch.worker_manager import enqueueing, job_search
from central_dispatch.worker_manager.job_search import ORDERS, Found, Wanted, find, matching, place_of
from central_dispatch.worker_manager.models import Job
from dispatchers.fixtures import on_sqlite

pytestmark = pytest.mark.usefixtures("database")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
STATES = ("waiting", "running", "finished", "in_error", "interrupted")


@pytest.fixture
def rows() -> list[Job]:
    """Sixty jobs of two queues in all states; each three have the same times."""
    with transaction.atomic():
        enqueueing.enqueue(
            [
                NewJob(kind=("housekeeping", "other")[n % 2], payload={"record": n % 7, "instance": f"i{n % 5}"})
                for n in range(60)
            ]
        )
        for n, job in enumerate(Job.objects.order_by("pk")):
            Job.objects.filter(pk=job.pk).update(**columns(n))
    return list(Job.objects.all())


def columns(n: int) -> dict[str, object]:
    at, state = NOW + timedelta(minutes=n // 3), STATES[n % 5]
    values: dict[str, object] = {"state": state, "created_at": at, "due_at": at}
    values["parent"] = "p" if state == "running" else None
    values["started_at"] = None if state == "waiting" else at
    values["ended_at"] = None if state in {"waiting", "running"} else at + timedelta(seconds=n % 2)
    if state == "in_error":
        values |= {"expires_at": at + timedelta(hours=96), "error": f"broken {('pipe', 'glass')[n % 4 // 2]} {n}"}
    return values


def walk(wanted: Wanted, size: int = 7) -> Iterator[Found]:
    found = find(wanted, size=size)
    yield found
    while found.later or found.looked_back_to:
        after = place_of(wanted, found.jobs[-1]) if found.later else found.looked_back_to
        found = find(wanted, after=after, size=size)
        yield found


def fits(job: Job, wanted: Wanted) -> bool:
    time = getattr(job, wanted.time)
    return (
        wanted.state in {"", job.state}
        and wanted.queue in {"", job.queue}
        and wanted.record in {"", str(job.payload["record"])}
        and wanted.error.lower() in job.error.lower()
        and (not wanted.error or bool(job.error))
        and time is not None
        and (wanted.since is None or time >= wanted.since)
        and (wanted.until is None or time < wanted.until)
    )


ALL = [(state, order) for state, orders in ORDERS.items() for order in orders]


@pytest.mark.parametrize(("state", "order"), ALL)
@pytest.mark.parametrize("further", [{}, {"queue": "other"}, {"queue": "nothing"}, {"record": "3"}, {"error": "GLASS"}])
def test_the_pages_of_every_list_hold_what_fits_once_and_in_order(
    rows: list[Job], state: str, order: str, further: dict[str, str]
) -> None:
    wanted = Wanted(state=state, order=order, **further)  # type: ignore[arg-type] # texts
    seen = [job for page in walk(wanted) for job in page.jobs]
    expected = {job.pk for job in rows if fits(job, wanted)}
    assert len(seen) == len(expected)
    assert {job.pk for job in seen} == expected
    places = [(getattr(job, wanted.time), job.pk) for job in seen]
    assert places == sorted(places, reverse=wanted.ordered in {"newest", "started", "ended"})
    assert set(matching(wanted).values_list("pk", flat=True)) == expected


@pytest.mark.parametrize(("state", "order"), ALL)
def test_the_way_back_shows_the_same_pages(rows: list[Job], state: str, order: str) -> None:
    assert rows
    wanted = Wanted(state=state, order=order)
    pages = [[job.pk for job in page.jobs] for page in walk(wanted)]
    for before, page in pairwise(pages):
        first = Job.objects.get(pk=page[0])
        found = find(wanted, before=place_of(wanted, first), size=7)
        assert [job.pk for job in found.jobs] == before
        assert found.later


@given(since=st.integers(0, 21), length=st.integers(0, 21), case=st.sampled_from(ALL))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_span_of_time_is_that_of_the_order(rows: list[Job], since: int, length: int, case: tuple[str, str]) -> None:
    start = NOW + timedelta(minutes=since) + (timedelta(hours=96) if case[1] == "expires" else timedelta(0))
    wanted = Wanted(state=case[0], order=case[1], since=start, until=start + timedelta(minutes=length))
    seen = {job.pk for page in walk(wanted) for job in page.jobs}
    assert seen == {job.pk for job in rows if fits(job, wanted)}


@pytest.mark.parametrize(("state", "order"), ALL)
def test_in_a_batch_a_span_of_time_is_that_of_the_order_too_and_the_numbers_stay_in_order(
    rows: list[Job], state: str, order: str
) -> None:
    for n, job in enumerate(rows):
        Job.objects.filter(pk=job.pk).update(batch=1 if n % 3 else None, batch_index=n if n % 3 else None)
    without = Wanted(state=state, order=order)
    times = sorted(getattr(job, without.time) for job in rows if fits(job, without))
    since, until = times[len(times) // 4], times[-1]
    wanted = replace(without, batch=1, since=since, until=until)
    expected = [n for n, job in enumerate(rows) if n % 3 and fits(job, replace(without, since=since, until=until))]
    assert expected
    assert [job.batch_index for page in walk(wanted) for job in page.jobs] == expected
    assert matching(wanted).count() == len(expected)


@pytest.mark.parametrize("look", [4, 5, 6, 10])
def test_a_search_stops_after_so_many_rows_says_how_far_it_came_and_goes_on_from_there(
    rows: list[Job], monkeypatch: pytest.MonkeyPatch, look: int
) -> None:
    monkeypatch.setattr(job_search, "LOOK", look)
    wanted = Wanted(state="finished", queue="other", record="")
    found = find(wanted, size=50)
    assert found.looked_back_to is not None
    assert len(found.jobs) < len([job for job in rows if fits(job, wanted)])
    seen = [job.pk for page in walk(wanted, size=50) for job in page.jobs]
    assert len(seen) == len(set(seen))
    assert set(seen) == {job.pk for job in rows if fits(job, wanted)}


def test_named_jobs_are_found_whatever_else_is_wanted(rows: list[Job]) -> None:
    wanted = Wanted(state="finished", queue="nothing", numbers=(rows[0].pk, rows[1].pk))
    assert {job.pk for job in find(wanted).jobs} == {rows[0].pk, rows[1].pk}


def test_a_list_takes_two_questions_at_most(rows: list[Job]) -> None:
    assert rows
    for state, order in ALL:
        for further in ({}, {"queue": "other"}, {"error": "glass"}, {"instance": "i3", "record": "3"}):
            wanted = Wanted(state=state, order=order, **further)  # type: ignore[arg-type] # texts
            with CaptureQueriesContext(connection) as queries:
                find(wanted)
            assert len(queries) <= 2, wanted


@on_sqlite
def test_no_list_walks_through_all_jobs(rows: list[Job]) -> None:
    """Each question starts from an index: the plan has no scan of the table itself."""
    assert rows
    for state, order in ALL:
        for further in ({}, {"queue": "other"}, {"error": "glass"}, {"record": "3"}, {"instance": "i1"}, {"batch": 1}):
            wanted = Wanted(state=state, order=order, **further)  # type: ignore[arg-type] # texts
            with CaptureQueriesContext(connection) as queries:
                find(replace(wanted, since=NOW))
            for query in queries.captured_queries:
                with connection.cursor() as cursor:
                    cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
                    plan = [row[3] for row in cursor.fetchall()]
                assert not [step for step in plan if step == "SCAN job"], (wanted, plan)
