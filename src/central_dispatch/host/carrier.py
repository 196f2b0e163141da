"""Carries one run to its end, or to where it waits or is stuck; what a bug or a bad disk does to it is decided here."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from central_dispatch.host.journal_file import JournalFile, JournalUnwritable
from central_dispatch.host.journals import Journals
from central_dispatch.provisioning.journal import Entry, RunState, replay
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.saga import Saga, Standing
from central_dispatch.provisioning.step import Step

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Carried:
    """How far a run came. `why` says what it waits for or is stuck at, `sequence` is its last line."""

    standing: Standing
    why: str = ""
    sequence: int = 0


class Carrier:
    """One run of this host. Each method opens the journal, acts, and closes it; one thread at a time."""

    def __init__(
        self, journals: Journals, host: Callable[[], Host], machine: str, wish: Callable[[], Problem | None]
    ) -> None:
        """`machine` is this machine's id; `wish` says whether the run is to be backed out, and why."""
        self._journals = journals
        self._host = host
        self._machine = machine
        self._wish = wish
        self._saga: Saga | None = None
        self._began_here = False

    def doing(self) -> str:
        """Name the step that is under way, for people; safe to ask from another thread."""
        saga = self._saga
        return _under_way(saga.state) if saga else ""

    def carry_on(self, run: str, instance: str) -> Carried:
        """Carry out a run that has just begun."""
        self._began_here = True
        return self._act(run, instance, lambda saga, _: saga.carry_on())

    def recover(self, run: str, instance: str) -> Carried:
        """Go on with a run that a former process, or a former try, left."""
        return self._act(run, instance, lambda saga, _: saga.recover())

    def retry(self, run: str, instance: str) -> Carried:
        """Have a stuck run try again; one that is not stuck simply goes on."""
        return self._act(
            run, instance, lambda saga, _: saga.retry() if saga.state.stuck else saga.recover(), accepted=True
        )

    def acknowledge(self, run: str, instance: str, by: str) -> Carried:
        """Take over what a stuck run is stuck at."""

        def act(saga: Saga, journal: JournalFile) -> Standing:
            if saga.state.stuck is None:
                return saga.recover()
            if _is_held_back(journal.entries(), saga.state, self._machine):
                # Another machine's run: all that is left of it is taken over at once, nothing is touched.
                journal.append("acknowledged", data={"by": by, "steps": _left_over(saga.state)})
                saga = Saga(self._host(), journal)
                return saga.carry_on()
            return saga.acknowledge(by)

        return self._act(run, instance, act, accepted=True)

    def _act(
        self, run: str, instance: str, act: Callable[[Saga, JournalFile], Standing], *, accepted: bool = False
    ) -> Carried:
        """Act on an opened journal. `accepted`: an administrator has spoken, also for another machine's run."""
        try:
            journal = self._journals.open(run, instance)
        except OSError as error:
            return Carried("waiting", f"its journal cannot be opened: {error.strerror or error}")
        try:
            saga = self._saga = Saga(self._host(), journal, self._wish, began_here=self._began_here)
            if not accepted and self._hold_back(journal, saga.state):
                return _carried("stuck", journal)
            return _carried(self._guarded(saga, journal, act), journal)
        except HostError as error:
            return Carried("waiting", str(error.problem))
        except JournalUnwritable as error:
            # Whether the last line is on the disk is unknown: the journal is read again, as after a crash.
            _log.warning("run %s: %s", run, error)
            return Carried("waiting", str(error))
        finally:
            self._saga = None
            journal.close()

    def _guarded(self, saga: Saga, journal: JournalFile, act: Callable[[Saga, JournalFile], Standing]) -> Standing:
        try:
            return act(saga, journal)
        except (HostError, JournalUnwritable):
            raise
        except Exception as error:  # noqa: BLE001 a bug in a step must end as any other failure does
            _log.exception("run %s: unexpected error", saga.state.run)
            _note_unexpected(journal, error)
            again = self._saga = Saga(self._host(), journal, self._wish, began_here=self._began_here)
            return again.carry_on()

    def _hold_back(self, journal: JournalFile, state: RunState) -> bool:
        """Stop at a journal of another machine, until an administrator has spoken; say whether we do."""
        if state.ended or state.machine == self._machine:
            return False
        if _is_accepted(journal.entries(), self._machine):
            return False
        if state.stuck and _is_held_back(journal.entries(), state, self._machine):
            return True
        problem = Problem(
            "This run began on another machine",
            "the host worker's files seem to be a copy",
            "Retry if this is the same host, moved. If it is a copy: acknowledge, and nothing of the run is touched.",
        )
        if not state.committed and not state.backing_out:
            journal.append("back_out", data=problem.to_json())
        told = {**problem.to_json(), "rewound": not state.committed, "machine": self._machine}
        journal.append("stuck", data=told)
        return True


def _is_accepted(entries: list[Entry], machine: str) -> bool:
    """Say whether an administrator had the run go on after it was held back on this very machine."""
    held = False
    for entry in entries:
        if entry.kind == "stuck" and entry.data.get("machine") == machine:
            held = True
        elif held and entry.kind == "retry":
            return True
    return False


def _is_held_back(entries: list[Entry], state: RunState, machine: str) -> bool:
    if state.machine == machine or _is_accepted(entries, machine):
        return False
    stuck = [entry for entry in entries if entry.kind == "stuck"]
    return bool(stuck) and stuck[-1].data.get("machine") == machine


def _left_over(state: RunState) -> list[int]:
    return state.unfinished() if state.committed else state.residue()


def _note_unexpected(journal: JournalFile, error: Exception) -> None:
    """Journal a bug as what it comes to: the step failed, or its undo is stuck."""
    state = replay(journal.entries())
    if state is None or state.ended or state.stuck:
        return
    problem = Problem(
        "An unexpected error", f"{type(error).__name__}: {error}", "Look at the host worker's log, and report it."
    ).to_json()
    if state.committed or state.backing_out:
        journal.append("stuck", (_left_over(state) or [-1])[0], problem)
    elif "open" in state.steps:
        journal.append("failed", state.steps.index("open"), problem)
    else:
        journal.append("back_out", data=problem)


def _carried(standing: Standing, journal: JournalFile) -> Carried:
    entries = journal.entries()
    said = [entry for entry in entries if entry.kind == standing] if standing in {"waiting", "stuck"} else []
    why = str(Problem.from_json(said[-1].data)) if said else ""
    return Carried(standing, why, said[-1].sequence if said else len(entries))


def _under_way(state: RunState) -> str:
    parts: tuple[tuple[tuple[Step, ...], tuple[str, ...]], ...] = (
        (state.plan.steps, state.steps),
        (state.plan.tail, state.tail),
    )
    for steps, states in parts:
        for step, standing in zip(steps, states, strict=True):
            if standing in {"open", "undoing"}:
                return step.title
    return ""
