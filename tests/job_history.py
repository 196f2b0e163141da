"""Checks a history after faults: every job that was enqueued settled exactly once per fence, and nothing was lost.

One checker for the chaos test, the benches and the tests of long outages. It knows the rules of the engine, not its
code: it reads rows as they lie in the database and what handlers themselves wrote down, nothing that a store returns.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

#: What an execution's ending is called in the history, and whether it counts as an attempt.
COUNTS = {"done": True, "failed": True, "crashed": True, "deferred": False, "stopped": False, "released": False}
#: A fence is the store's epoch and a count.
_EPOCH_BITS = 32


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution as its handler wrote it down; times from the machine's monotonic clock. `ended`: None if it was
    killed, or gave up, before its end.
    """

    job: int
    fence: int
    began: float
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of a run. `jobs` and `attempts` are rows; `effects` the keys of effects, once per application.

    `wanted` gives for each number in the batch the state in which its job has to end.
    """

    wanted: Mapping[int, str]
    jobs: Sequence[Mapping[str, Any]]
    attempts: Sequence[Mapping[str, Any]]
    executions: Sequence[Execution] = ()
    effects: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class Findings:
    """What is wrong, each as a line for people. All empty after a good run.

    `miscounted`: attempts or endings that the rules do not allow. `overlapping`: an execution still worked when the
    next one of its job had begun: its outcome is dropped, but its work went on.
    """

    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    unsettled: tuple[str, ...] = ()
    miscounted: tuple[str, ...] = ()
    overlapping: tuple[str, ...] = ()

    def all(self) -> list[str]:
        """Return every line, with its class before it."""
        return [f"{name}: {line}" for name in self.__slots__ for line in getattr(self, name)]


def check(evidence: Evidence) -> Findings:
    """Return all that is wrong."""
    history = _History(evidence)
    return Findings(
        lost=tuple(history.lost()),
        doubled=tuple(history.doubled()),
        unsettled=tuple(history.unsettled()),
        miscounted=tuple(history.miscounted()),
        overlapping=tuple(history.overlapping()),
    )


class _History:
    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.rows = {row["id"]: row for row in evidence.jobs}
        self.attempts: dict[int, list[Mapping[str, Any]]] = defaultdict(list)
        for attempt in evidence.attempts:
            self.attempts[attempt["job"]].append(attempt)

    def lost(self) -> Iterator[str]:
        """What was enqueued, executed or done, and is not there any more."""
        there = {row["batch_index"] for row in self.evidence.jobs}
        yield from (f"number {number} was enqueued and has no row" for number in self.evidence.wanted.keys() - there)
        kept = {(attempt["job"], attempt["fence"]) for attempt in self.evidence.attempts}
        for execution in self.evidence.executions:
            if (execution.job, execution.fence) not in kept:
                yield f"job {execution.job}: the execution under fence {execution.fence} is not in the history"
        for job, row in self.rows.items():
            yield from self._missing_of(job, row)

    def _missing_of(self, job: int, row: Mapping[str, Any]) -> Iterator[str]:
        count = row["fence"] & ((1 << _EPOCH_BITS) - 1)
        open_fence = row["state"] == "running"
        fences = {attempt["fence"] & ((1 << _EPOCH_BITS) - 1) for attempt in self.attempts[job]}
        for fence in set(range(1, count + (not open_fence))) - fences:
            yield f"job {job}: how its execution {fence} ended is not in the history"
        if row["state"] == "finished":
            if not any(attempt["outcome"] == "done" for attempt in self.attempts[job]):
                yield f"job {job} is finished, and no execution was done"
            if self.evidence.effects is not None and job not in self._effects:
                yield f"job {job} is finished, and its effect is not there"

    @property
    def _effects(self) -> Collection[int]:
        return frozenset(self.evidence.effects or ())

    def doubled(self) -> Iterator[str]:
        """What happened twice."""
        numbers = Counter(row["batch_index"] for row in self.evidence.jobs)
        yield from (f"number {number} has {count} rows" for number, count in numbers.items() if count > 1)
        settled = Counter((attempt["job"], attempt["fence"]) for attempt in self.evidence.attempts)
        for (job, fence), count in settled.items():
            if count > 1:
                yield f"job {job} was settled {count} times under fence {fence}"
        begun = Counter((execution.job, execution.fence) for execution in self.evidence.executions)
        for (job, fence), count in begun.items():
            if count > 1:
                yield f"job {job} was executed {count} times under fence {fence}"
        for job, count in Counter(self.evidence.effects or ()).items():
            if count > 1:
                yield f"the effect of job {job} was applied {count} times"
        for job, row in self.rows.items():
            yield from self._twice(job, row)

    def _twice(self, job: int, row: Mapping[str, Any]) -> Iterator[str]:
        done = [attempt["fence"] for attempt in self.attempts[job] if attempt["outcome"] == "done"]
        if len(done) > 1:
            yield f"job {job} was done under {len(done)} fences"
        if row["state"] == "finished" and done and max(done) != row["fence"]:
            yield f"job {job} was settled as done under fence {max(done)}, its row has {row['fence']}"
        for attempt in self.attempts[job]:
            if attempt["fence"] > row["fence"]:
                yield f"job {job} was settled under fence {attempt['fence']}, its row has only {row['fence']}"

    def unsettled(self) -> Iterator[str]:
        """What did not come to its end."""
        for job, row in self.rows.items():
            if row["state"] in {"waiting", "running"}:
                yield f"job {job} is still {row['state']} after {row['attempts']} attempts: {row['error'][:100]}"

    def miscounted(self) -> Iterator[str]:
        """Attempts that are not those of the history, and ends that the rules do not allow."""
        for job, row in self.rows.items():
            outcomes = [attempt["outcome"] for attempt in self.attempts[job]]
            if unknown := sorted(set(outcomes) - COUNTS.keys()):
                yield f"job {job}: the history has endings that there are not: {', '.join(unknown)}"
                continue
            counted = sum(COUNTS[outcome] for outcome in outcomes)
            if row["attempts"] != counted:
                yield f"job {job} counts {row['attempts']} attempts, its history has {counted} ({outcomes})"
            wanted = self.evidence.wanted.get(row["batch_index"])
            if row["state"] not in {"waiting", "running", wanted}:
                yield f"job {job} is {row['state']} and not {wanted}: {row['error'][:100]}"

    def overlapping(self) -> Iterator[str]:
        """Executions that worked on although the next one of their job had begun."""
        by_job: dict[int, list[Execution]] = defaultdict(list)
        for execution in self.evidence.executions:
            by_job[execution.job].append(execution)
        for job, executions in by_job.items():
            executions.sort(key=lambda execution: execution.fence)
            for earlier, later in pairwise(executions):
                if earlier.ended is not None and earlier.ended > later.began:
                    over_s = earlier.ended - later.began
                    yield f"job {job}: fence {earlier.fence} worked {over_s:.3f} s into fence {later.fence}"


def read_executions(log: Path) -> list[Execution]:
    """Read what handlers wrote down: `begin JOB FENCE SECONDS` and `end JOB FENCE SECONDS`, a line each."""
    began: list[tuple[int, int, float]] = []
    ended: dict[tuple[int, int], float] = {}
    for line in log.read_text(encoding="ascii").splitlines() if log.exists() else []:
        what, job, fence, at = line.split()
        if what == "begin":
            began.append((int(job), int(fence), float(at)))
        else:
            ended[int(job), int(fence)] = float(at)
    return [Execution(job, fence, at, ended.get((job, fence))) for job, fence, at in began]


def read_effects(directory: Path) -> list[int]:
    """Read the keys of effects: one file for each application, `KEY` or, of a second application, `KEY.…`."""
    return [int(entry.name.partition(".")[0]) for part in directory.iterdir() for entry in part.iterdir()]
