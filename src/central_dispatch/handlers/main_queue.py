"""`mainQueue`: splits one message into many jobs of a kind, restartable in the middle without doubling or losing one.

    {"kind": "recordEdit", "name": "record_id", "numbers": "1-100000,200007", "shared": {"databox": 1}}
    {"kind": "recordEdit", "items": [{"record_id": 5}, …], "shared": {…}}
    {"kind": "recordEdit", "file": "batches/edit.jsonl", "shared": {…}}      one JSON object a line, below the spool

Child number n is made from the n-th number, item or line, under the batch's number n, which is taken once.
"""

import re
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from central_dispatch.handlers.main_queue_sources import BadSource, Children, Items, Lines, Range
from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.job import HIGHEST, LOWEST, NORMAL, NewJob
from central_dispatch.jobs.kinds import KINDS, Kind, find_kind
from central_dispatch.jobs.numbers import Numbers, parse_numbers
from central_dispatch.jobs.outcome import Done, Failed, Outcome, Released
from central_dispatch.worker_manager import batches
from central_dispatch.worker_manager.enqueueing import enqueue
from central_dispatch.worker_manager.models import Job

#: Rows of one transaction: the others wait no longer than some milliseconds for their turn.
CHUNK = 300
#: And the pause after it, in seconds: longer than a writer sleeps that waits for the gate, so that it comes in.
PAUSE_S = 0.006
#: More children of one message are a mistake sooner than a wish.
MAX_CHILDREN = 1_000_000
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class Message(BaseModel):
    """What a message says. Exactly one of `numbers` (with `name`), `items` and `file`."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: str
    shared: dict[str, Any] = Field(default_factory=dict)
    name: str = ""
    numbers: str | None = None
    items: list[dict[str, Any]] | None = None
    file: str | None = None
    priority: int = Field(default=NORMAL, ge=LOWEST, le=HIGHEST)

    @field_validator("numbers")
    @classmethod
    def _can_be_read(cls, value: str | None) -> str | None:
        count = 0 if value is None else len(parse_numbers(value))
        if count > MAX_CHILDREN:
            raise ValueError(f"these are {count} numbers, {MAX_CHILDREN} are the most")
        return value

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a payload's key has letters, digits and underscores, and begins with no digit")
        return value

    @model_validator(mode="after")
    def _has_one_source(self) -> "Message":
        given = [name for name in ("numbers", "items", "file") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of numbers, items and file, not {' and '.join(given) or 'none'}")
        if (self.numbers is not None) != bool(self.name):
            raise ValueError("numbers and name go together: name is the key that each number gets")
        return self


@dataclass(frozen=True, slots=True)
class Split:
    """A message that can be worked on."""

    kind: Kind
    message: Message
    children: Children


def handle(payload: Mapping[str, Any], attempt: Attempt) -> Outcome:
    """Split a message; the result names the batch. Asked to stop between two chunks, it goes on later where it was."""
    return split(payload, attempt, KINDS)


def split(payload: Mapping[str, Any], attempt: Attempt, kinds: Mapping[str, Kind]) -> Outcome:
    """Do it, for kinds that are known."""
    read = _read(payload, kinds)
    if isinstance(read, Failed):
        return read
    with closing(read.children):
        try:
            return _expand(read, attempt)
        except BadSource as bad:
            return Failed(str(bad), retryable=False)


def _read(payload: Mapping[str, Any], kinds: Mapping[str, Kind]) -> Split | Failed:
    try:
        message = Message.model_validate(payload)
    except ValidationError as error:
        return Failed("; ".join(_fault(fault) for fault in error.errors(include_url=False)), retryable=False)
    kind = find_kind(message.kind, kinds)
    if kind is None:
        return Failed(f"kind: there is no “{message.kind}”; there are {', '.join(sorted(kinds))}", retryable=False)
    if kind.handler.startswith(f"{__name__}:"):
        return Failed(f"kind: {kind.name} splits messages itself: name the kind that is to work", retryable=False)
    try:
        return Split(kind, message, _children(message))
    except BadSource as bad:
        return Failed(str(bad), retryable=False)


def _fault(fault: Any) -> str:  # noqa: ANN401 pydantic's own dictionary
    field = ".".join(map(str, fault["loc"])) or "payload"
    return f"{field}: {fault['msg'].removeprefix('Value error, ')}"


def _children(message: Message) -> Children:
    if message.numbers is not None:
        numbers: Numbers = parse_numbers(message.numbers)
        return Range(message.name, numbers)
    if message.items is not None:
        return Items(message.items)
    return Lines(message.file or "", MAX_CHILDREN)


def _expand(work: Split, attempt: Attempt) -> Outcome:
    children, total = work.children, work.children.total
    by = Job.objects.values_list("enqueued_by", flat=True).get(pk=attempt.job)
    new = batches.NewBatch(attempt.job, work.kind.name, children.says, children.source, total, by)
    with transaction.atomic():
        batch = batches.open_batch(new)
    if batch.source != children.source:
        raise BadSource("file: it is another one than when this batch was begun; make a new job of it")
    made = batch.made
    payloads = children.payloads(made)
    while chunk := list(islice(payloads, CHUNK)):
        if attempt.stopping():
            return Released()
        attempt.report(100 * made / total, f"{made} of {total} made")
        if not _make(work, attempt, batch, made, chunk):
            return Released()
        made += len(chunk)
        time.sleep(PAUSE_S)
    children.check()
    with transaction.atomic():
        batches.complete(batch.id, made)
    return Done({"batch": batch.id, "children": made})


def _make(work: Split, attempt: Attempt, batch: batches.Opened, first: int, chunk: list[dict[str, Any]]) -> bool:
    """Make the next children; False where this execution is to make no more."""
    try:
        with transaction.atomic():
            by = _still_splits(attempt)
            if by is not None:
                enqueue([_child(work, batch.id, first + n, payload, by) for n, payload in enumerate(chunk)])
    except ValueError as error:
        raise BadSource(f"one of the children {first} to {first + len(chunk) - 1}: {error}") from None
    return by is not None


def _still_splits(attempt: Attempt) -> str | None:
    """Return who made the job, while this execution runs and nobody asked that it stop.

    The row is ours until the commit: whoever interrupts the batch finds these children, or there are none.
    """
    rows = Job.objects.select_for_update().filter(pk=attempt.job, fence=attempt.fence, state=Job.State.RUNNING)
    return rows.filter(interrupt_by="").values_list("enqueued_by", flat=True).first()


def _child(work: Split, batch: int, index: int, payload: dict[str, Any], by: str) -> NewJob:
    return NewJob(
        kind=work.kind.name,
        payload=work.message.shared | payload,
        payload_version=work.kind.payload_version,
        priority=work.message.priority,
        batch=batch,
        batch_index=index,
        enqueued_by=by,
    )
