"""Rates and charts, from what is added up with every settlement."""

from datetime import UTC, datetime, timedelta

import pytest

from central_dispatch.fleet.home import home_directory
from central_dispatch.handlers import housekeeping
from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.outcome import Done, Failed
from central_dispatch.jobs.ports import Parent, Settled
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.settling import settle
from central_dispatch.stores.places import open_store
from central_dispatch.worker_manager.models import Tally
from central_dispatch.worker_manager.rates import Bucket, Rate, chart, rates

pytestmark = pytest.mark.usefixtures("database")
NOW = datetime(2026, 11, 24, 12, 30, 20, tzinfo=UTC)
MINUTE = NOW.replace(second=0)


def put(minute: datetime, queue: str, outcome: str, executions: int, run_ms: int = 0, parent: str = "p") -> None:
    Tally.objects.create(
        minute=minute, queue=queue, outcome=outcome, parent=parent, executions=executions, run_ms=run_ms
    )


def test_what_is_settled_is_added_up_by_minute_queue_and_outcome() -> None:
    store = open_store(home_directory())
    store.register(Parent("a" * 32, "host", 1, ("ftp",), 10), NOW)
    store.enqueue([NewJob(kind="ftp", payload={}) for _ in range(3)], NOW)
    claims = store.claim("ftp", "a" * 32, 3, NOW)
    ended = NOW + timedelta(seconds=2)
    settled = [
        Settled(claim, settle(claim, outcome, QueueSettings(), ended, 0.5), 7, NOW, ended, name)
        for claim, outcome, name in zip(claims, (Done(), Done(), Failed("no")), ("done", "done", "failed"), strict=True)
    ]
    store.settle(settled[:1])
    store.settle(settled[1:])
    store.settle(settled)  # late reports of what was settled before count no more
    store.close()
    values = ("minute", "queue", "outcome", "parent", "executions", "run_ms")
    assert list(Tally.objects.values_list(*values)) == [
        (MINUTE, "ftp", "done", "a" * 32, 2, 4000),
        (MINUTE, "ftp", "failed", "a" * 32, 1, 2000),
    ]


def test_a_rate_is_that_of_the_last_five_whole_minutes() -> None:
    put(MINUTE, "q", "done", 1000)  # under way
    put(MINUTE - timedelta(minutes=1), "q", "done", 8, 16_000)
    put(MINUTE - timedelta(minutes=5), "q", "failed", 2, 4_000, parent="other")
    put(MINUTE - timedelta(minutes=6), "q", "done", 1000)
    assert rates(NOW) == {"q": Rate(per_minute=2.0, failed_per_minute=0.4, seconds=2.0)}


def test_a_chart_has_every_step_and_the_one_under_way() -> None:
    put(MINUTE, "q", "done", 3)
    put(MINUTE.replace(minute=0), "q", "failed", 1)
    put(MINUTE - timedelta(hours=2), "q", "crashed", 2)
    put(MINUTE - timedelta(hours=2), "other", "stopped", 4)
    put(MINUTE - timedelta(hours=3), "q", "done", 9)
    hour = MINUTE.replace(minute=0)
    assert chart(NOW, timedelta(hours=1), 3) == [
        Bucket(hour - timedelta(hours=2), failed=2, other=4),
        Bucket(hour - timedelta(hours=1)),
        Bucket(hour, done=3, failed=1),
    ]
    assert chart(NOW, timedelta(hours=1), 3, "other")[0] == Bucket(hour - timedelta(hours=2), other=4)


def test_minutes_become_hours_and_hours_go_without_a_figure_being_lost_or_doubled() -> None:
    old = (MINUTE - timedelta(days=3)).replace(minute=0)
    for minute in range(0, 60, 7):
        put(old + timedelta(minutes=minute), "q", "done", 2, 10, parent=f"p{minute % 2}")
    put(old + timedelta(minutes=59), "q", "failed", 1)
    put(MINUTE, "q", "done", 5)
    put(MINUTE - timedelta(days=91), "q", "done", 5)
    before = NOW - housekeeping.MINUTES_KEPT
    while housekeeping._fold_an_hour(before):
        pass
    while housekeeping._delete_hour(NOW - housekeeping.HOURS_KEPT):
        pass
    rows = list(Tally.objects.values_list("minute", "outcome", "parent", "executions", "run_ms"))
    assert rows == [(old, "done", "", 18, 90), (old, "failed", "", 1, 0), (MINUTE, "done", "p", 5, 0)]
    assert housekeeping._fold_an_hour(before) == 0
