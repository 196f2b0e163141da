"""What people do to jobs and queues: permitted, on record, announced, rung after the commit."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from django.db import transaction

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.home import home_directory
from central_dispatch.fleet.models import Change
from central_dispatch.fleet.refusal import Refused
from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES, NewJob
from central_dispatch.jobs.ports import Parent
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.stores.places import open_store
from central_dispatch.stores.sqlite import SqliteStore
from central_dispatch.worker import ringing
from central_dispatch.worker_manager import bells, enqueueing, queries, services
from central_dispatch.worker_manager.models import Job

pytestmark = pytest.mark.usefixtures("database")

QUEUE = "housekeeping"
VIEWER = Actor("viewer", Role.VIEWER)
OPERATOR = Actor("operator", Role.OPERATOR)
ADMINISTRATOR = Actor("administrator", Role.ADMINISTRATOR)
WORKER = Parent("a" * 32, "host", 1, (QUEUE,), 10)


def now() -> datetime:
    return datetime.now(UTC)


class Bells:
    """Notes what was rung."""

    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, queues: tuple[str, ...]) -> None:
        self.rung += queues

    def call(self, queues: tuple[str, ...]) -> None:
        self.rung += [f"all of {queue}" for queue in queues]


@pytest.fixture(autouse=True)
def rung(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    broker = Bells()
    monkeypatch.setattr(bells, "broker", lambda: broker)
    return broker.rung


@pytest.fixture
def store() -> Iterator[SqliteStore]:
    opened = open_store(home_directory())
    opened.register(WORKER, now())
    yield opened
    opened.close()


def made(actor: Actor = OPERATOR, **more: object) -> int:
    job = enqueueing.enqueue_job(actor, QUEUE, {"n": 1}, **more)  # type: ignore[arg-type] # a test's shorthand
    assert isinstance(job, int)
    return job


def state(job: int) -> str:
    return Job.objects.values_list("state", flat=True).get(pk=job)


def acts() -> list[str]:
    return list(AuditEntry.objects.order_by("id").values_list("what", flat=True))


def test_a_job_exists_and_its_bell_rings_only_once_the_callers_transaction_is_committed(rung: list[str]) -> None:
    new = NewJob(kind=QUEUE, payload={"path": "ä"}, enqueued_by="test")
    with transaction.atomic():
        (first,) = enqueueing.enqueue([new])
        assert rung == []
    assert first is not None
    assert rung == [QUEUE]
    found = queries.job(first)
    assert found is not None
    assert (found.payload, found.state, found.enqueued_by) == ({"path": "ä"}, "waiting", "test")
    assert {"jobs", "queues"} <= set(Change.objects.values_list("topic", flat=True))


def test_job_code_rings_through_its_parent_after_its_own_commit(
    rung: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A child speaks to no broker."""
    told: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(ringing, "_parent", [lambda act, queues: told.append((act, queues))])
    with transaction.atomic():
        enqueueing.enqueue([NewJob(kind=QUEUE, payload={})])
        bells.call_after_commit([QUEUE])
        assert told == []
    assert told == [("ring", [QUEUE]), ("call", [QUEUE])]
    assert rung == []


def test_a_job_of_a_transaction_that_is_undone_never_was(rung: list[str]) -> None:
    def fails() -> None:
        with transaction.atomic():
            enqueueing.enqueue([NewJob(kind=QUEUE, payload={})])
            raise LookupError

    with pytest.raises(LookupError):
        fails()
    assert (Job.objects.count(), rung) == (0, [])


def test_jobs_are_written_in_a_transaction_or_not_at_all() -> None:
    with pytest.raises(RuntimeError, match="atomic"):
        enqueueing.enqueue([NewJob(kind=QUEUE, payload={})])


def test_the_store_of_a_queue_worker_takes_what_a_service_made(store: SqliteStore) -> None:
    job = made()
    assert [claim.job for claim in store.claim(QUEUE, WORKER.id, 5, now())] == [job]
    assert state(job) == "running"


@pytest.mark.parametrize(
    ("kind", "payload", "field"),
    [("nosuch", {}, "queue"), (QUEUE, {"x": "x" * MAX_PAYLOAD_BYTES}, "payload"), (QUEUE, {"x": object()}, "payload")],
)
def test_bad_input_names_its_field(kind: str, payload: dict[str, object], field: str) -> None:
    refused = enqueueing.enqueue_job(OPERATOR, kind, payload)
    assert isinstance(refused, Refused)
    assert refused.problems[0].field == field
    assert acts() == []


def test_an_unknown_queue_is_answered_with_the_known_ones() -> None:
    assert QUEUE in str(services.pause(OPERATOR, "recordedit-typo"))


def test_a_second_job_of_a_key_is_a_conflict() -> None:
    made(unique_key="k")
    refused = enqueueing.enqueue_job(OPERATOR, QUEUE, {}, unique_key="k")
    assert isinstance(refused, Refused)
    assert refused.kind == "conflict"


def test_roles_are_heeded_by_every_act() -> None:
    job = made()
    for refused in (
        enqueueing.enqueue_job(VIEWER, QUEUE, {}),
        services.interrupt(VIEWER, job),
        services.cancel(VIEWER, job),
        services.retry(VIEWER, job),
        services.pause(VIEWER, QUEUE),
        services.requeue_failed(VIEWER, QUEUE),
        services.change_settings(OPERATOR, QUEUE, {"max_attempts": 5}),
        services.purge(OPERATOR, QUEUE),
        services.delete(OPERATOR, QUEUE),
    ):
        assert isinstance(refused, Refused)
        assert refused.kind == "forbidden"
    assert (acts(), state(job)) == (["job.enqueue"], "waiting")


def test_interrupting_a_waiting_job_ends_it_and_says_by_whom_and_why() -> None:
    job = made()
    assert services.interrupt(OPERATOR, job, "wrong file") == "interrupted"
    found = Job.objects.get(pk=job)
    assert (found.state, found.ended_by, found.error) == ("interrupted", "operator", "wrong file")
    assert found.ended_at is not None
    assert acts() == ["job.enqueue", "job.interrupt"]


def test_interrupting_a_running_job_asks_its_worker(store: SqliteStore, rung: list[str]) -> None:
    job = made()
    (claim,) = store.claim(QUEUE, WORKER.id, 1, now())
    rung.clear()
    assert services.interrupt(OPERATOR, job) == "asked"
    assert rung == [f"all of {QUEUE}"], "whichever worker it is"
    assert state(job) == "running"
    assert store.interruptions([(claim.job, claim.fence)]) == [(job, "operator")]


def test_cancel_leaves_a_running_job_alone(store: SqliteStore) -> None:
    job = made()
    store.claim(QUEUE, WORKER.id, 1, now())
    refused = services.cancel(OPERATOR, job)
    assert isinstance(refused, Refused)
    assert "running" in str(refused)
    assert state(job) == "running"


def test_retry_gives_an_interrupted_job_its_attempts_and_its_key_back() -> None:
    job = made(unique_key="k")
    services.cancel(OPERATOR, job)
    assert services.retry(OPERATOR, job) == "waiting"
    found = Job.objects.get(pk=job)
    assert (found.state, found.attempts, found.unique_key, found.ended_at) == ("waiting", 0, "k", None)


def test_retry_is_refused_while_another_job_holds_the_key() -> None:
    job = made(unique_key="k")
    services.cancel(OPERATOR, job)
    made(unique_key="k")
    refused = services.retry(OPERATOR, job)
    assert isinstance(refused, Refused)
    assert (refused.kind, state(job)) == ("conflict", "interrupted")


def test_what_is_not_there_is_absent() -> None:
    for refused in (services.interrupt(OPERATOR, 99), services.cancel(OPERATOR, 99), services.retry(OPERATOR, 99)):
        assert isinstance(refused, Refused)
        assert refused.kind == "absent"


def test_settings_are_changed_on_record_and_hold_in_the_store_at_once(store: SqliteStore) -> None:
    changed = services.change_settings(ADMINISTRATOR, QUEUE, {"max_attempts": 7})
    assert not isinstance(changed, Refused)
    assert store.settings(QUEUE).max_attempts == 7
    entry = AuditEntry.objects.get()
    assert (entry.before, entry.after) == ({"max_attempts": 3}, {"max_attempts": 7})


@pytest.mark.parametrize("changes", [{"max_attempts": 0}, {"nonsense": 1}, {"max_attempts": "many"}, {"backoff": "x"}])
def test_bad_settings_change_nothing(store: SqliteStore, changes: dict[str, object]) -> None:
    refused = services.change_settings(ADMINISTRATOR, QUEUE, changes)
    assert isinstance(refused, Refused)
    assert refused.kind == "invalid"
    assert next(iter(changes)) in str(refused)
    assert store.settings(QUEUE).max_attempts == 3


def test_pause_and_resume(store: SqliteStore) -> None:
    made()
    services.pause(OPERATOR, QUEUE)
    assert store.claim(QUEUE, WORKER.id, 1, now()) == []
    services.resume(OPERATOR, QUEUE)
    assert len(store.claim(QUEUE, WORKER.id, 1, now())) == 1


def test_purge_ends_what_waits_in_chunks_and_nothing_that_runs(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("central_dispatch.worker_manager.tables.acts.CHUNK", 3)
    jobs = [made() for _ in range(8)]
    (running,) = store.claim(QUEUE, WORKER.id, 1, now())
    assert services.purge(ADMINISTRATOR, QUEUE) == 7
    assert {job: state(job) for job in jobs} == dict.fromkeys(jobs, "interrupted") | {running.job: "running"}
    assert Job.objects.exclude(pk=running.job).values_list("ended_by", flat=True).distinct().get() == "administrator"


def test_queues_show_their_depths_and_schedule(store: SqliteStore) -> None:
    store.enqueue_scheduled({QUEUE: 60.0}, now())
    made()
    store.claim(QUEUE, WORKER.id, 1, now())
    [view] = [one for one in queries.queues() if one.name == QUEUE]
    assert (view.waiting, view.running, view.in_error) == (1, 1, 0)
    assert view.last_run_at is not None
    assert view.next_run_at is not None
    assert [job.state for job in queries.jobs(queue=QUEUE, state="running")] == ["running"]
