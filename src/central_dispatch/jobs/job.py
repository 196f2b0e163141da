"""A job: one row, which is the truth. The broker's message only says that there may be a row (DESIGN.md §3)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

#: The seed's words, and *waiting* (new, for a retry, or deferred: `due_at` says until when).
State = Literal["waiting", "running", "finished", "in_error", "interrupted"]
WaitingFor = Literal["new", "retry", "deferred"]

LOWEST, NORMAL, HIGHEST = 0, 5, 9
#: A payload travels by row only; what is larger belongs into a file that the payload names.
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_ERROR_CHARACTERS = 4000
MAX_WORDS = 300  # characters of a progress report


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """What a service enqueues, in the caller's transaction.

    `unique_key`: while a job of that queue and key waits or runs, no second one is made. `batch` with
    `batch_index`: a number in a batch is taken once, so an expansion can be repeated without doubling.
    """

    kind: str
    payload: Mapping[str, Any]
    payload_version: int = 1
    priority: int = NORMAL
    due_at: datetime | None = None
    unique_key: str | None = None
    batch: int | None = None
    batch_index: int | None = None
    enqueued_by: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A job in the hands of one parent. Whoever settles shows the fence: it is higher at every claim."""

    job: int
    kind: str
    payload: Mapping[str, Any]
    payload_version: int
    fence: int
    attempts: int  # executions that counted before this one
    deferrals: int  # deferrals in a row before this one
    priority: int
    batch: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What becomes of a claimed job; `jobs.settling.settle` decides, a store writes it under the fence."""

    state: State
    attempts: int
    deferrals: int
    waiting_for: WaitingFor = "new"
    due_at: datetime | None = None  # for waiting
    expires_at: datetime | None = None  # for in_error: when the dead letter is removed
    error: str = ""
    by: str = ""  # who interrupted it, or had it deferred
    waits_on: str | None = None  # for deferred: the thing whose lock's end makes it due
    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """What a handler reported last."""

    percent: float
    words: str
