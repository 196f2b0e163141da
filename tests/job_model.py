"""A small pure model of the job table: what a store must do, without a database. Time is in seconds."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

RETRY_DELAY_S, DEFERRAL_DELAY_S, MAX_ATTEMPTS = 10, 5, 3
State = Literal["waiting", "running", "finished", "in_error", "interrupted"]
Ending = Literal["done", "failed", "refused", "deferred", "released", "stopped"]


@dataclass
class ModelJob:
    """One job."""

    number: int
    queue: str
    priority: int
    due: int
    key: str | None
    state: State = "waiting"
    attempts: int = 0
    deferrals: int = 0
    parent: str = ""
    turn: int = 0  # claims so far: what a fence must follow
    interrupt: bool = False
    waiting_for: str = "new"
    by: str = ""  # who ended it
    percent: float | None = None
    words: str = ""
    history: list[str] = field(default_factory=list)  # how its executions ended


@dataclass
class Model:
    """All jobs, parents and settings."""

    jobs: dict[int, ModelJob] = field(default_factory=dict)
    beats: dict[str, int] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    limits: dict[str, int | None] = field(default_factory=dict)
    batch: set[int] = field(default_factory=set)

    def takes(self, queue: str, key: str | None, index: int | None) -> bool:
        """Say whether such a job would be made."""
        held = key is not None and any(
            job.queue == queue and job.key == key and job.state in {"waiting", "running"} for job in self.jobs.values()
        )
        return not held and index not in self.batch

    def add(self, job: ModelJob, index: int | None) -> None:
        """Make it."""
        self.jobs[job.number] = job
        if index is not None:
            self.batch.add(index)

    def room(self, queue: str) -> int:
        """How many more of the queue may run."""
        if queue in self.paused:
            return 0
        limit = self.limits.get(queue)
        running = sum(job.queue == queue and job.state == "running" for job in self.jobs.values())
        return 1_000_000 if limit is None else max(0, limit - running)

    def claim(self, queue: str, parent: str, limit: int, now: int) -> list[ModelJob]:
        """Take due jobs."""
        if parent not in self.beats:
            return []
        due = [job for job in self.jobs.values() if job.queue == queue and job.state == "waiting" and job.due <= now]
        due.sort(key=lambda job: (-job.priority, job.due, job.number))
        taken = due[: min(limit, self.room(queue))]
        for job in taken:
            self._take(job, parent)
        return taken

    def claim_job(self, number: int, parent: str) -> ModelJob | None:
        """Take this one, due or not."""
        job = self.jobs[number]
        if parent not in self.beats or job.state != "waiting":
            return None
        self._take(job, parent)
        return job

    def progress(self, number: int, turn: int, percent: float, words: str) -> None:
        """Note what a handler reported."""
        job = self.jobs[number]
        if job.state == "running" and job.turn == turn:
            job.percent, job.words = percent, words

    def settle(self, number: int, turn: int, ending: Ending, now: int) -> bool:
        """End an execution."""
        job = self.jobs[number]
        if job.state != "running" or job.turn != turn:
            return False
        job.history.append(ending)
        match ending:
            case "done":
                job.state, job.attempts, job.deferrals = "finished", job.attempts + 1, 0
                job.percent = 100
            case "failed" | "refused":
                self._fail(job, now + RETRY_DELAY_S, again=ending == "failed")
            case "deferred":
                self._wait(job, now + DEFERRAL_DELAY_S, "deferred")
                job.deferrals += 1
            case "released":
                self._wait(job, now, "new")
            case "stopped":
                job.state, job.by = "interrupted", "eve"
        return True

    def sweep(self, parent: str, count: int, now: int) -> list[int]:
        """Free what a silent parent holds."""
        if self.beats.get(parent) != count:
            return []
        return self._strike_off(parent, now)

    def register(self, parent: str, gone: Sequence[str], now: int) -> list[int]:
        """Add a parent after dead ones of its host."""
        freed = [number for other in gone if other in self.beats for number in self._strike_off(other, now)]
        self.beats[parent] = 0
        return sorted(freed)

    def leave(self, parent: str) -> None:
        """Strike off a parent that holds nothing."""
        if parent in self.beats and not self.held(parent):
            del self.beats[parent]

    def held(self, parent: str) -> list[int]:
        """What a parent holds."""
        return sorted(job.number for job in self.jobs.values() if job.state == "running" and job.parent == parent)

    def raise_epoch(self, now: int) -> list[int]:
        """Put all that runs back, and strike all parents off: a backup was restored."""
        freed = [job for job in self.jobs.values() if job.state == "running"]
        for job in freed:
            job.interrupt = False
            self._wait(job, now, "new")
        self.beats.clear()
        return sorted(job.number for job in freed)

    def interrupt(self, number: int) -> str:
        """What a person asks for."""
        job = self.jobs[number]
        if job.state == "waiting":
            job.state, job.by = "interrupted", "eve"
            return "interrupted"
        if job.state == "running":
            job.interrupt = True
            return "asked"
        return "ended"

    def next_due(self, queues: Sequence[str]) -> int | None:
        """The nearest time at which somebody could take a job."""
        return min(
            (
                job.due
                for job in self.jobs.values()
                if job.state == "waiting" and job.queue in queues and self.room(job.queue)
            ),
            default=None,
        )

    def _strike_off(self, parent: str, now: int) -> list[int]:
        held = [job for job in self.jobs.values() if job.state == "running" and job.parent == parent]
        for job in held:
            job.history.append("crashed")
            self._fail(job, now, again=True)
        del self.beats[parent]
        return [job.number for job in held]

    def _fail(self, job: ModelJob, due: int, *, again: bool) -> None:
        job.attempts, job.deferrals = job.attempts + 1, 0
        if again and job.attempts < MAX_ATTEMPTS:
            self._wait(job, due, "retry")
        else:
            job.state = "in_error"

    def _wait(self, job: ModelJob, due: int, waiting_for: str) -> None:
        job.waiting_for = waiting_for
        if job.interrupt:
            job.state, job.by = "interrupted", "eve"
        else:
            job.state, job.due, job.percent, job.words = "waiting", due, None, ""

    def _take(self, job: ModelJob, parent: str) -> None:
        job.state, job.parent, job.interrupt = "running", parent, False
        job.percent, job.words = None, ""
        job.turn += 1
