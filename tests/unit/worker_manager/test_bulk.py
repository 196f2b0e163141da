"""One act on many jobs: only where it fits, in bounded steps, on record, rung."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.refusal import Refused
from central_dispatch.jobs.job import NewJob
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.worker_manager import bells, bulk, enqueueing
from central_dispatch.worker_manager.job_search import Wanted
from central_dispatch.worker_manager.models import Job

pytestmark = pytest.mark.usefixtures("database")
OPERATOR = Actor("operator", Role.OPERATOR)


class Bells:
    """Notes what was rung."""

    def __init__(self) -> None:
        self.rung: list[str] = []
        self.called: list[str] = []

    def ring(self, queues: tuple[str, ...]) -> None:
        self.rung += queues

    def call(self, queues: tuple[str, ...]) -> None:
        self.called += queues


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> Bells:
    broker = Bells()
    monkeypatch.setattr(bells, "broker", lambda: broker)
    return broker


@pytest.fixture
def rung(told: Bells) -> list[str]:
    return told.rung


@pytest.fixture
def jobs(rung: list[str]) -> list[int]:
    """Two jobs in each state, waiting first."""
    with transaction.atomic():
        made = enqueueing.enqueue([NewJob(kind="housekeeping", payload={}) for _ in range(10)])
    rung.clear()
    numbers = [number for number in made if number is not None]
    for n, state in enumerate(("waiting", "running", "finished", "in_error", "interrupted")):
        ended = None if state in {"waiting", "running"} else timezone.now()
        parent = "p" if state == "running" else None
        Job.objects.filter(pk__in=numbers[2 * n : 2 * n + 2]).update(state=state, ended_at=ended, parent=parent)
    return numbers


def states(numbers: list[int]) -> list[str]:
    return [Job.objects.get(pk=number).state for number in numbers]


def applied(act: bulk.Act, wanted: Wanted, after: int = 0) -> bulk.Bulk:
    answer = bulk.apply(OPERATOR, act, wanted, after=after, why="a test")
    assert isinstance(answer, bulk.Bulk)
    return answer


def test_what_will_be_done_is_counted_before(jobs: list[int]) -> None:
    assert bulk.fitting("retry", Wanted()) == bulk.Fitting({"in_error": 2, "interrupted": 2, "waiting": 2}, 4)
    assert bulk.fitting("interrupt", Wanted(numbers=tuple(jobs[:3]))) == bulk.Fitting({"running": 1, "waiting": 2}, 0)
    assert bulk.fitting("cancel", Wanted(state="finished")).total == 0


def test_failed_ones_are_tried_again_and_the_others_left_alone(jobs: list[int], rung: list[str]) -> None:
    assert applied("retry", Wanted(state="in_error")) == bulk.Bulk(done=2)
    assert states(jobs[6:]) == ["waiting", "waiting", "interrupted", "interrupted"]
    assert rung == ["housekeeping"]


def test_interrupt_ends_what_waits_and_asks_what_runs(jobs: list[int]) -> None:
    assert applied("interrupt", Wanted()) == bulk.Bulk(done=2, asked=2)
    assert states(jobs[:4]) == ["interrupted", "interrupted", "running", "running"]
    assert set(Job.objects.filter(state="running").values_list("interrupt_by", flat=True)) == {"operator"}
    assert Job.objects.get(pk=jobs[0]).error == "a test"


def test_of_interrupted_jobs_all_parents_are_told_only_where_one_ran(jobs: list[int], told: Bells) -> None:
    applied("interrupt", Wanted(numbers=tuple(jobs[:2])))
    assert (told.rung, told.called) == (["housekeeping"], [])
    told.rung.clear()
    applied("interrupt", Wanted(numbers=tuple(jobs[2:4])))
    assert (told.rung, told.called) == ([], ["housekeeping"])


def test_cancel_leaves_what_runs(jobs: list[int]) -> None:
    assert applied("cancel", Wanted(numbers=tuple(jobs))) == bulk.Bulk(done=2)
    assert states(jobs[2:4]) == ["running", "running"]


def test_many_are_done_in_steps_that_go_on_where_the_last_one_ended(
    jobs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "AT_ONCE", 3)
    first = applied("retry", Wanted(state=""))
    assert (first.done, first.last) == (3, jobs[6])
    second = applied("retry", Wanted(state=""), after=first.last or 0)
    assert (second.done, second.last) == (3, None)


def test_a_chunk_is_on_record_with_what_was_asked(jobs: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 1)
    applied("retry", Wanted(state="in_error", queue="housekeeping"))
    entries = AuditEntry.objects.filter(what="job.retry").order_by("id")
    assert [entry.after["first"] for entry in entries] == jobs[6:8]
    assert entries[0].after["queue"] == "housekeeping"
    assert entries[0].who == "operator"


def test_the_record_says_which_jobs_were_meant_by_their_numbers_and_their_time(jobs: list[int]) -> None:
    since, until = timezone.now() - timedelta(hours=1), timezone.now() + timedelta(hours=1)
    applied("retry", Wanted(state="in_error", order="expires", since=since, until=until))
    assert not AuditEntry.objects.filter(what="job.retry").exists()  # none of them expires
    Job.objects.filter(pk__in=jobs).update(batch=7, batch_index=F("id"), expires_at=timezone.now())
    Job.objects.filter(pk=jobs[7]).update(expires_at=until)
    applied("retry", Wanted(state="in_error", order="expires", batch=7, since=since, until=until))
    assert states(jobs[6:8]) == ["waiting", "in_error"]
    said = AuditEntry.objects.get(what="job.retry").after
    span = {"time": "expires_at", "since": since.isoformat(), "until": until.isoformat()}
    assert said == said | span | {"jobs": 1, "batch": 7, "state": "in_error"}
    applied("retry", Wanted(numbers=tuple(jobs[7:9])))
    assert AuditEntry.objects.filter(what="job.retry").latest("id").after["numbers"] == jobs[7:9]


def test_one_whose_key_is_held_is_passed_over_and_said(jobs: list[int]) -> None:
    Job.objects.filter(pk=jobs[6]).update(given_key="k")
    Job.objects.filter(pk=jobs[0]).update(given_key="k", unique_key="k")
    assert applied("retry", Wanted(state="in_error")) == bulk.Bulk(done=1, passed_over=1)


def test_a_viewer_may_not(jobs: list[int]) -> None:
    for act in ("retry", "interrupt", "cancel"):
        answer = bulk.apply(Actor("viewer", Role.VIEWER), act, Wanted())
        assert isinstance(answer, Refused)
        assert answer.kind == "forbidden"
    assert states(jobs)[6] == "in_error"
