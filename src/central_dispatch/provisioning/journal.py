"""The journal of a run: its lines, and the state that they add up to. Pure; `host.journal_file` writes it.

Order of a step: `intent` → do → verify → `done`; of an undo: `undo` → clear → probe → `undone`. A line is
durable before the act that it announces. `commit` is the one line that decides between done and undone.
"""

import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.problem import Problem

Kind = Literal[
    "begin",  # plan, run, machine, session
    "intent",  # step i is about to be done
    "output",  # a line that step i printed (not fsynced)
    "done",  # step i is done and verified
    "failed",  # step i could not be done; problem
    "back_out",  # the run turns round: why (a wish, a crash, a name that is taken: then at which step)
    "undo",  # step i is about to be undone
    "undone",  # step i is undone and verified; `left` says what foreign thing was left alone
    "stuck",  # step i (or tail step i) could not be undone (carried on); problem
    "retry",  # an administrator has the stuck run try again
    "acknowledged",  # an administrator takes the residue of these steps over; by whom
    "commit",  # from here on only forward
    "tail_intent",
    "tail_done",
    "waiting",  # for a server that is down; why
    "end",  # ending
]
DURABLE_KINDS = frozenset({"begin", "intent", "done", "failed", "back_out", "undo", "undone", "stuck"}) | frozenset(
    {"retry", "acknowledged", "commit", "tail_intent", "tail_done", "end"}
)
Ending = Literal["committed", "backed_out"]
StepState = Literal["untouched", "open", "done", "failed", "undoing", "undone", "acknowledged"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. `at` is UTC in ISO 8601, `step` an index into the plan's steps (or its tail), -1 for none."""

    sequence: int
    at: str
    kind: Kind
    step: int = -1
    data: dict[str, Any] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """Return the line with its checksum, so that a torn last line is known for one."""
        body = json.dumps([self.sequence, self.at, self.kind, self.step, self.data], separators=(",", ":"))
        raw = body.encode()
        return b"%08x %s\n" % (zlib.crc32(raw), raw)

    @classmethod
    def from_line(cls, line: bytes) -> "Entry | None":
        """Read a line; None for one that was cut or damaged."""
        checksum, _, raw = line.rstrip(b"\n").partition(b" ")
        if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(raw):
            return None
        sequence, at, kind, step, data = json.loads(raw)
        return cls(sequence, at, kind, step, data)


class JournalDamaged(Exception):
    """A journal has a bad line before its last one: nothing of this run is touched until a person has looked."""


def read_entries(lines: Iterable[bytes]) -> list[Entry]:
    """Read a journal's lines; a torn last line is a write that did not happen, a torn middle one is damage."""
    entries: list[Entry] = []
    torn = False
    for number, line in enumerate(lines, start=1):
        entry = Entry.from_line(line)
        if torn or (entry is not None and entry.sequence != len(entries) + 1):
            raise JournalDamaged(f"line {number} of the journal is damaged; move the file away only after a look")
        if entry is None:
            torn = True
        else:
            entries.append(entry)
    return entries


@dataclass(frozen=True, slots=True)
class RunState:
    """What a journal adds up to."""

    run: str
    machine: str
    session: int
    plan: Plan
    steps: tuple[StepState, ...]
    tail: tuple[StepState, ...]
    committed: bool = False
    backing_out: Problem | None = None
    failed_step: int = -1
    stuck: Problem | None = None
    stuck_step: int = -1
    rewound: bool = False
    left: tuple[str, ...] = ()
    ended: Ending | None = None

    @property
    def mark(self) -> Mark:
        """The mark that this run's things bear."""
        return Mark(self.plan.instance, self.run)

    def unfinished(self) -> list[int]:
        """Return the steps of the tail that are still to be carried out after the commit, in order."""
        return [index for index, step in enumerate(self.tail) if step in {"untouched", "open"}]

    def residue(self) -> list[int]:
        """Return the steps whose things may still be there while the run is stuck, last first."""
        live = {"open", "done", "failed", "undoing"}
        return [index for index in reversed(range(len(self.steps))) if self.steps[index] in live]


def begin(entry: Entry) -> RunState:
    """Return the state after a journal's first line."""
    plan = Plan.from_json(entry.data["plan"])
    untouched: StepState = "untouched"
    return RunState(
        run=entry.data["run"],
        machine=entry.data["machine"],
        session=entry.data["session"],
        plan=plan,
        steps=(untouched,) * len(plan.steps),
        tail=(untouched,) * len(plan.tail),
    )


def _with(states: tuple[StepState, ...], index: int, state: StepState) -> tuple[StepState, ...]:
    return (*states[:index], state, *states[index + 1 :])


def _acknowledged(state: RunState, indexes: list[int]) -> RunState:
    for index in indexes:
        if state.committed:
            state = replace(state, tail=_with(state.tail, index, "acknowledged"))
        else:
            state = replace(state, steps=_with(state.steps, index, "acknowledged"))
    return replace(state, stuck=None)


_STEP_AFTER: dict[str, StepState] = {
    "intent": "open",
    "done": "done",
    "failed": "failed",
    "undo": "undoing",
    "undone": "undone",
}
_TAIL_AFTER: dict[str, StepState] = {"tail_intent": "open", "tail_done": "done"}


def _turned_round(state: RunState, entry: Entry) -> RunState:
    """Note why a run turns round: the first reason stays."""
    if state.backing_out:
        return state
    return replace(state, failed_step=entry.step, backing_out=Problem.from_json(entry.data))


def _undone(state: RunState, entry: Entry) -> RunState:
    left = entry.data.get("left", "")
    return replace(state, left=(*state.left, left)) if left else state


def _stuck(state: RunState, entry: Entry) -> RunState:
    rewound = state.rewound or bool(entry.data.get("rewound"))
    return replace(state, stuck=Problem.from_json(entry.data), stuck_step=entry.step, rewound=rewound)


# What a line of each kind changes beside its step's state; a kind that is not here changes nothing else.
_AFTER: dict[str, Callable[[RunState, Entry], RunState]] = {
    "failed": _turned_round,
    "back_out": _turned_round,
    "undone": _undone,
    "stuck": _stuck,
    # Whether it is rewound is looked at anew.
    "retry": lambda state, _: replace(state, stuck=None, rewound=False),
    "acknowledged": lambda state, entry: _acknowledged(state, entry.data["steps"]),
    "commit": lambda state, _: replace(state, committed=True),
    "end": lambda state, entry: replace(state, ended=entry.data["ending"]),
}


def fold(state: RunState, entry: Entry) -> RunState:
    """Return the state after one more line."""
    if entry.kind in _STEP_AFTER:
        state = replace(state, steps=_with(state.steps, entry.step, _STEP_AFTER[entry.kind]))
    elif entry.kind in _TAIL_AFTER:
        state = replace(state, tail=_with(state.tail, entry.step, _TAIL_AFTER[entry.kind]))
    return _AFTER[entry.kind](state, entry) if entry.kind in _AFTER else state


def replay(entries: Iterable[Entry]) -> RunState | None:
    """Return what a journal adds up to; None for one whose first line was never completed."""
    state: RunState | None = None
    for entry in entries:
        state = begin(entry) if state is None else fold(state, entry)
    return state
