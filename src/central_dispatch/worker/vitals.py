"""How a queue worker is: its parts say so, and threads that watch it read it. Nothing here waits for anything."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from central_dispatch.jobs.ports import Settled


class Loop(Protocol):
    """The main loop, as far as it is watched."""

    turned: float  # when it turned last, monotonic


class Crew(Protocol):
    """The children, as far as they are watched."""

    slots: int

    @property
    def busy(self) -> int:
        """How many have a job."""

    @property
    def pids(self) -> list[int]:
        """Their processes."""


class Desk(Protocol):
    """The clerk, as far as it is watched."""

    @property
    def down(self) -> str:
        """Why the database is away; empty while it answers."""

    @property
    def queues(self) -> tuple[str, ...]:
        """What is served now."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What works now: others after the worker's rows were taken back and it began anew."""

    loop: Loop
    crew: Crew
    desk: Desk


@dataclass(slots=True)
class Vitals:
    """One worker's. `parts`: None while it starts (or waits for the database) and when it has ended."""

    parts: Parts | None = None
    waits_for: str = "it is starting"  # why there are no parts
    draining: Callable[[], bool] = lambda: False
    beaten: float = -math.inf  # when a beat went through last, monotonic
    #: Told of each lot of executions that were settled, or whose fence was lost.
    heard: list[Callable[[Sequence[Settled]], None]] = field(default_factory=list)

    def settled(self, settled: Sequence[Settled]) -> None:
        """Tell those who count."""
        for hear in self.heard:
            hear(settled)

    def beat(self) -> None:
        """Note that a beat went through."""
        self.beaten = time.monotonic()
