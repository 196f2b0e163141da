"""How an execution ended, as a handler returns it or as its parent saw it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Done:
    """The work is done. `result` is small JSON for pages."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The execution failed; counts as an attempt. Not `retryable`: no further one can help (a bad payload)."""

    error: str
    retryable: bool = True


@dataclass(frozen=True, slots=True)
class Deferred:
    """It cannot be done now (a locked record, a quota): later, without counting an attempt.

    `after_s` replaces the queue's own delay. `waits_on`: the locked thing; when its lock ends the job is due at once.
    """

    why: str
    after_s: float | None = None
    waits_on: str | None = None


@dataclass(frozen=True, slots=True)
class Crashed:
    """The child ended without an answer: exit, signal, memory, time limit. Counts as an attempt."""

    error: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """An administrator interrupted it, and its process tree is gone."""

    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Released:
    """The worker drains, or the execution never started: back to waiting at once, nothing counted."""


Outcome = Done | Failed | Deferred | Crashed | Stopped | Released
