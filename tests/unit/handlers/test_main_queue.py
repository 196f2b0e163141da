"""`mainQueue`: one message becomes many jobs, each once, however often it begins again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.handlers import main_queue
from central_dispatch.handlers.main_queue import split
from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.job import MAX_PAYLOAD_BYTES, NewJob
from central_dispatch.jobs.kinds import KINDS, Kind
from central_dispatch.jobs.outcome import Done, Failed, Outcome, Released
from central_dispatch.worker_manager.batches import find, interrupt, progress
from central_dispatch.worker_manager.enqueueing import enqueue
from central_dispatch.worker_manager.models import Batch, Job
from central_dispatch.worker_manager.spool import spool_directory

pytestmark = pytest.mark.usefixtures("database")

EDIT = Kind(name="recordEdit", handler="-", says="-", payload_version=3, aliases=("editRecord",))
KNOWN = {**KINDS, EDIT.name: EDIT}
RANGE = {"kind": "recordEdit", "name": "record_id", "numbers": "1-700,900", "shared": {"databox": 1}}


def made() -> int:
    with transaction.atomic():
        (job,) = enqueue([NewJob(kind="mainQueue", payload={}, enqueued_by="anna")])
    assert job is not None
    Job.objects.filter(pk=job).update(state="running", fence=1, parent="p")
    return job


def run(job: int, payload: dict[str, Any], stopping: Callable[[], bool] = lambda: False) -> Outcome:
    attempt = Attempt(
        job, 1, 1, Path("/nowhere"), lambda _percent, _words: None, stopping, lambda _exclusive=(), _shared=(): None
    )
    return split(payload, attempt, KNOWN)


def children() -> list[Job]:
    return list(Job.objects.filter(queue="recordEdit").order_by("batch_index"))


def spooled(lines: list[object]) -> str:
    directory = spool_directory()
    directory.mkdir(mode=0o700, exist_ok=True)
    path = directory / "edit.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    path.chmod(0o600)
    return path.name


def test_a_range_becomes_a_job_for_each_number_in_one_batch() -> None:
    job = made()
    done = run(job, RANGE)
    [batch] = Batch.objects.all()
    assert done == Done({"batch": batch.pk, "children": 701})
    assert (batch.job, batch.kind, batch.expected, batch.total, batch.created_by) == (
        job,
        "recordEdit",
        701,
        701,
        "anna",
    )
    found = children()
    assert [child.payload for child in found] == [{"databox": 1, "record_id": n} for n in [*range(1, 701), 900]]
    assert [child.batch_index for child in found] == list(range(701))
    assert {(child.batch, child.payload_version, child.enqueued_by) for child in found} == {(batch.pk, 3, "anna")}


def test_items_and_lines_become_jobs_over_what_they_share() -> None:
    run(made(), {"kind": "editRecord", "items": [{"a": 1}, {"b": 2}], "shared": {"a": 0}, "priority": 8})
    assert [(child.payload, child.priority) for child in children()] == [({"a": 1}, 8), ({"a": 0, "b": 2}, 8)]
    Job.objects.all().delete()
    run(made(), {"kind": "recordEdit", "file": spooled([{"ä": n} for n in range(650)])})
    assert [child.payload for child in children()] == [{"ä": n} for n in range(650)]


def test_a_message_that_is_split_again_doubles_nothing_and_goes_on_where_it_was() -> None:
    job = made()
    looks = iter([False, False, True])
    assert run(job, RANGE, lambda: next(looks)) == Released()
    [batch] = Batch.objects.all()
    assert (len(children()), batch.total) == (2 * main_queue.CHUNK, None)
    assert progress(batch).splitting
    assert isinstance(run(job, RANGE), Done)
    assert isinstance(run(job, RANGE), Done)
    assert [child.batch_index for child in children()] == list(range(701))
    assert Batch.objects.get().total == 701


@pytest.mark.parametrize("how", ["asked", "interrupted"])
def test_once_a_batch_is_interrupted_nothing_more_is_made_of_it_and_nothing_waits(how: str) -> None:
    """`stopping` says it later: what the row says is what counts."""
    job, looks = made(), iter(range(9))

    def stopping() -> bool:
        if next(looks) == 1:
            if how == "interrupted":
                Job.objects.filter(pk=job).update(state="waiting", parent=None)
            assert interrupt(Actor("operator", Role.OPERATOR), Batch.objects.get().pk) == main_queue.CHUNK
        return False

    assert run(job, RANGE, stopping) == Released()
    assert len(children()) == main_queue.CHUNK
    assert {child.state for child in children()} == {"interrupted"}
    assert Batch.objects.get().total is None


def test_an_execution_that_lost_its_job_makes_nothing_more_of_it() -> None:
    job = made()
    Job.objects.filter(pk=job).update(fence=2)
    assert run(job, RANGE) == Released()
    assert children() == []


def test_nothing_is_an_empty_batch() -> None:
    done = run(made(), {"kind": "recordEdit", "items": []})
    assert isinstance(done, Done)
    batch = find(done.result["batch"])
    assert batch is not None
    assert (batch.total, progress(batch).percent) == (0, 100.0)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "nothing"}, "kind: there is no “nothing”"),
        ({"kind": "mainQueue"}, "kind: mainQueue splits messages itself"),
        ({"kind": 5}, "kind: "),
        ({"extra": 1}, "extra: "),
        ({"numbers": None}, "give one of numbers, items and file, not none"),
        ({"items": []}, "not numbers and items"),
        ({"name": ""}, "name: "),
        ({"name": "a b"}, "name: "),
        ({"numbers": "1-"}, "numbers: “1-” is no number"),
        ({"numbers": "1-2000000"}, "numbers: these are 2000000 numbers"),
        ({"numbers": "0-999999999999999999"}, "numbers: these are 1000000000000000000 numbers"),
        ({"shared": []}, "shared: "),
        ({"priority": 10}, "priority: "),
    ],
)
def test_a_message_that_makes_no_sense_fails_for_good_and_names_the_field(change: dict[str, Any], says: str) -> None:
    failed = run(made(), RANGE | change)
    assert isinstance(failed, Failed)
    assert not failed.retryable
    assert says in failed.error
    assert Batch.objects.count() == 0


@pytest.mark.parametrize(
    ("lines", "says"),
    [([{}, 5], "line 2 of edit.jsonl is no JSON object"), ([{"x": "x" * MAX_PAYLOAD_BYTES}], "line 1 of edit.jsonl")],
)
def test_a_file_with_a_bad_line_makes_no_job_at_all(lines: list[object], says: str) -> None:
    failed = run(made(), {"kind": "recordEdit", "file": spooled(lines)})
    assert isinstance(failed, Failed)
    assert says in failed.error
    assert children() == []


def test_a_file_that_is_not_there_is_named() -> None:
    failed = run(made(), {"kind": "recordEdit", "file": "../../etc/passwd"})
    assert failed == Failed(failed.error, retryable=False) if isinstance(failed, Failed) else False
    assert "file" in failed.error


def test_a_file_that_was_replaced_meanwhile_is_not_mixed_with_the_first() -> None:
    job = made()
    looks = iter([False, True])
    message = {"kind": "recordEdit", "file": spooled([{"n": n} for n in range(650)])}
    run(job, message, lambda: next(looks))
    spooled([{"m": n} for n in range(650)])
    failed = run(job, message)
    assert isinstance(failed, Failed)
    assert "another one than when this batch was begun" in failed.error
    assert len(children()) == main_queue.CHUNK


def test_a_file_that_is_written_to_while_it_is_read_is_noticed() -> None:
    name = spooled([{"n": n} for n in range(400)])

    def scribble() -> bool:
        with (spool_directory() / name).open("a", encoding="ascii") as file:
            file.write("{}\n")
        return False

    failed = run(made(), {"kind": "recordEdit", "file": name}, scribble)
    assert isinstance(failed, Failed)
    assert "was changed while it was split" in failed.error


def test_children_that_share_too_much_are_refused() -> None:
    shared = {"x": "x" * (MAX_PAYLOAD_BYTES - 10)}
    failed = run(made(), {"kind": "recordEdit", "items": [{"long key": 1}], "shared": shared})
    assert isinstance(failed, Failed)
    assert "one of the children 0 to 0: the payload has" in failed.error
