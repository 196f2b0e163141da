"""The saga: what a run does next, and the one loop that does it, freshly started or found after a crash.

`next_move` is the decision, pure: a journal's state in, a move out. `Saga` performs moves until the run
ends, waits for a server, or is stuck. Killed anywhere, the next process replays the journal and is in the
same loop at the same place.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from central_dispatch.provisioning.journal import Ending, Entry, Kind, RunState, fold, replay
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Problem, Unavailable
from central_dispatch.provisioning.step import Finding, Step


@dataclass(frozen=True, slots=True)
class Move:
    """The next thing to do. `step` is an index into the plan's steps, or into its tail for `carry_on`."""

    verb: Literal["do", "undo", "commit", "carry_on", "end"]
    step: int = -1
    ending: Ending = "committed"


def next_move(state: RunState) -> Move | None:
    """Return what comes next; None when the run has ended or is stuck. Pure.

    Raises `ValueError` for a run that was interrupted in a step and has not been told to `recover`.
    """
    if state.ended or state.stuck:
        return None
    if state.committed:
        rest = state.unfinished()
        return Move("carry_on", rest[0]) if rest else Move("end", ending="committed")
    if state.backing_out:
        rest = state.residue()
        return Move("undo", rest[0]) if rest else Move("end", ending="backed_out")
    if any(step not in {"untouched", "done"} for step in state.steps):
        # Nobody knows how far that step came: to go on would commit a deployment that is not whole.
        raise ValueError("a run that was interrupted in a step must first recover")
    rest = [index for index, step in enumerate(state.steps) if step == "untouched"]
    return Move("do", rest[0]) if rest else Move("commit")


class Journal(Protocol):
    """Where the lines go. `append` is durable on return for every kind in `DURABLE_KINDS`."""

    def append(self, kind: Kind, step: int = -1, data: dict[str, Any] | None = None) -> Entry:
        """Write one line and return it."""

    def entries(self) -> list[Entry]:
        """Return all lines so far."""


Standing = Literal["committed", "backed_out", "stuck", "waiting"]


class Saga:
    """Carries one run to its end. Holds no state that the journal does not."""

    def __init__(
        self,
        host: Host,
        journal: Journal,
        wish: Callable[[], Problem | None] = lambda: None,
        *,
        began_here: bool = False,
    ) -> None:
        """`wish` is asked before each step whether somebody wants the run backed out, and why.

        `began_here`: the run began in this very process, so its journal cannot have been restored from a copy.
        """
        state = replay(journal.entries())
        if state is None:
            raise ValueError("a saga needs a journal that has begun")
        self.state = state
        self._host = host
        self._journal = journal
        self._wish = wish
        self._witnessed = False
        self._began_here = began_here or len(journal.entries()) == 1

    def recover(self) -> Standing:
        """Carry on a run that a former process left: back out before the commit, forward after it."""
        if not self.state.committed and not self.state.backing_out and not self.state.ended:
            self._note("back_out", data=self._interrupted().to_json())
        if self.state.plan.kind == "clear" and not self._began_here:
            self._ask_again()
        return self.carry_on()

    def _ask_again(self) -> None:
        """Stop before removing what an administrator confirmed by name: since then, another thing may bear it."""
        if self.state.committed and self.state.unfinished() and not (self.state.stuck or self.state.ended):
            problem = Problem(
                "The removal was interrupted",
                "what bears these names now may not be what was confirmed",
                "Look at each item: retry to remove what is left, or acknowledge to leave it.",
            )
            self._note("stuck", self.state.unfinished()[0], {**problem.to_json(), "rewound": True})

    def carry_on(self) -> Standing:
        """Perform moves until the run ends, is stuck, or waits for a server (call again then)."""
        while move := next_move(self.state):
            try:
                self._perform(move)
            except Unavailable as error:
                self._note("waiting", data=error.problem.to_json())
                return "waiting"
        return self.state.ended or "stuck"

    def retry(self) -> Standing:
        """Have a stuck run try again, as an administrator asked."""
        self._note("retry")
        return self.carry_on()

    def acknowledge(self, by: str) -> Standing:
        """Take what the run is stuck at over into an administrator's hands, and carry on with the rest.

        A rewound journal's things are taken over all at once: none of them may be cleared by it.
        """
        state = self.state
        left = state.unfinished() if state.committed else state.residue()
        steps = left if state.rewound else [state.stuck_step]
        self._note("acknowledged", data={"by": by, "steps": steps})
        return self.carry_on()

    def _perform(self, move: Move) -> None:
        match move.verb:
            case "do":
                self._do(move.step)
            case "undo":
                self._undo(move.step)
            case "commit":
                self._commit()
            case "carry_on":
                self._carry_on(move.step)
            case "end":
                self._note("end", data={"ending": move.ending})

    def _do(self, index: int) -> None:
        if wish := self._wish():
            self._note("back_out", data=wish.to_json())
            return
        step = self.state.plan.steps[index]
        problem = self._occupied(step)
        if problem:
            # Nothing was touched and no intent is open: the undo must not even look at this step's thing.
            self._note("back_out", index, problem.to_json())
            return
        self._note("intent", index)
        problem = self._attempt(lambda: self._made(step, index))
        if problem:
            self._note("failed", index, problem.to_json())
        else:
            self._note("done", index)

    def _occupied(self, step: Step) -> Problem | None:
        def look() -> Problem | None:
            finding = step.probe(self._host, self.state.mark)
            if finding.absent:
                return None
            return Problem(
                f"{step.title}: already there",
                finding.what,
                "It was left untouched. Choose another name, or remove it by hand if it is not needed.",
            )

        return self._attempt(look)

    def _made(self, step: Step, index: int) -> Problem | None:
        host, mark = self._host, self.state.mark
        return step.do(host, mark, lambda line: self._output(index, line)) or step.verify(host, mark)

    @staticmethod
    def _attempt(act: Callable[[], Problem | None]) -> Problem | None:
        """Return why an act failed on the way forward, where a server that is down turns the run round."""
        try:
            return act()
        except HostError as error:
            return error.problem

    def _commit(self) -> None:
        if wish := self._wish():
            self._note("back_out", data=wish.to_json())
        else:
            self._note("commit")

    def _undo(self, index: int) -> None:
        step, host, mark = self.state.plan.steps[index], self._host, self.state.mark
        if self._testimony(index):
            return
        self._note("undo", index)
        try:
            finding = step.probe(host, mark)
            if finding.state == "ours" or (step.is_act and finding.absent):
                step.clear(host, mark, lambda line: self._output(index, line))
                finding = step.probe(host, mark)
        except Unavailable:
            raise
        except HostError as error:
            self._note("stuck", index, error.problem.to_json())
            return
        match finding.state:
            case "ours":
                self._note("stuck", index, self._remains(step, finding.what).to_json())
            case "committed":
                self._note("stuck", index, {**self._rewound(step, finding.what).to_json(), "rewound": True})
            case "foreign":
                self._note("undone", index, {"left": finding.what})
            case "absent":
                self._note("undone", index)

    def _testimony(self, index: int) -> bool:
        """Hear every thing of the plan before the first undo, at step `index`; say whether the run is stuck by it.

        If one is sealed, the run was committed and the journal is older than the host: not each thing can
        bear a seal, so one speaks for all. A server that is down cannot testify. A run that began in this
        process goes on without; one that was found waits for the server (`Unavailable`).
        """
        if self._witnessed:
            return False
        for number, step in enumerate(self.state.plan.steps):
            if self.state.steps[number] == "acknowledged":
                continue
            try:
                finding = self._heard(step, number)
            except HostError as error:
                if self._began_here:
                    continue
                if isinstance(error, Unavailable):
                    raise
                self._note("stuck", number, error.problem.to_json())
                return True
            if finding.state == "committed":
                self._note("stuck", index, {**self._rewound(step, finding.what).to_json(), "rewound": True})
                return True
        self._witnessed = True
        return False

    def _heard(self, step: Step, number: int) -> Finding:
        """Probe a step's thing. Of one that the journal has not touched, only this run's own seal tells anything."""
        touched = number in self.state.residue()
        return step.probe(self._host, self.state.mark if touched else self.state.mark.strict())

    def _carry_on(self, index: int) -> None:
        step, host, mark = self.state.plan.tail[index], self._host, self.state.mark
        self._note("tail_intent", index)
        try:
            problem = step.do(host, mark, lambda line: self._output(index, line)) or step.verify(host, mark)
        except Unavailable:
            raise
        except HostError as error:
            problem = error.problem
        if problem:
            self._note("stuck", index, problem.to_json())
        else:
            self._note("tail_done", index)

    def _interrupted(self) -> Problem:
        at = [self.state.plan.steps[i].title for i, step in enumerate(self.state.steps) if step == "open"]
        return Problem(
            "The host worker was stopped in the middle of the run",
            f"in the step “{at[0]}”" if at else "",
            "Everything done was backed out; deploy again.",
        )

    @staticmethod
    def _remains(step: Step, what: str) -> Problem:
        return Problem(f"{step.title}: could not be undone", f"{what} is still there", "Look at it, then retry.")

    @staticmethod
    def _rewound(step: Step, what: str) -> Problem:
        return Problem(
            f"{step.title}: not undone",
            f"{what} belongs to a deployment that was committed, so this journal is older than the host",
            "Was this host restored from a copy? Then acknowledge each item; nothing was removed.",
        )

    def _output(self, index: int, line: str) -> None:
        self._note("output", index, {"line": line})

    def _note(self, kind: Kind, step: int = -1, data: dict[str, Any] | None = None) -> None:
        self.state = fold(self.state, self._journal.append(kind, step, data))
