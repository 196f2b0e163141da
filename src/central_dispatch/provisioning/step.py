"""The contract of a step: what it would change, whose the thing is, do, verify, clear, seal."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

from central_dispatch.provisioning.mark import Mark, State
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.spec import Frozen


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan: what would be made where. `after` holds the text of a file, for a diff."""

    verb: Literal["create", "copy", "write", "run", "check", "reload", "remove", "keep"]
    what: str
    where: str
    after: str = ""

    def to_json(self) -> dict[str, str]:
        """Return the form that the wire carries."""
        return {"verb": self.verb, "what": self.what, "where": self.where, "after": self.after}


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe saw.

    absent: nothing there. ours: bears the open mark of this run, or is an empty thing under its open
    intent. committed: bears a mark of this instance by another or a sealed run. foreign: anything else.
    """

    state: State
    what: str = ""

    @property
    def absent(self) -> bool:
        """Nothing is there."""
        return self.state == "absent"


ABSENT = Finding("absent")


class Output(Protocol):
    """Takes a step's output, a line at a time; bounded and masked by the receiver."""

    def __call__(self, line: str) -> None:
        """Take one line, without its line end."""


class Step(Frozen):
    """One thing that a run makes. Frozen and complete: its fields are its undo data (they go to the journal).

    A subclass is a file in `steps/` and a row in `steps.STEPS`. All methods may raise `HostError`.
    An older `version` stays readable for as long as a journal may hold it.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    # An act (a command, a reload, a check) leaves no thing that a probe could find: its `clear` is always called.
    is_act: ClassVar[bool] = False

    @property
    def title(self) -> str:
        """Name the step for people, with the thing it makes, such as `Database acme`."""
        raise NotImplementedError

    def changes(self) -> list[Change]:
        """Say what `do` would change, for the plan. Pure."""
        raise NotImplementedError

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Say whose the thing is now. Read-only; sees what a half-done `do` or `clear` left, too."""
        raise NotImplementedError

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Make the thing, marked as this run's; return why it could not be made."""
        raise NotImplementedError

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Look once more, independently of `do`, whether the thing is as it should be."""
        raise NotImplementedError

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Take the thing away, half-made or whole. Idempotent; the caller has judged whose it is."""
        raise NotImplementedError

    def seal(self, host: Host, mark: Mark) -> None:
        """After the commit: change the open mark into the sealed one. Idempotent."""

    def to_json(self) -> dict[str, Any]:
        """Return the form that the journal carries; `steps.step_from_json` reads it."""
        return {"step": self.name, "version": self.version, "with": self.model_dump(mode="json")}


class Act(Step):
    """A step that leaves no thing of its own: a command, a reload, a check. Its `clear` is always called."""

    is_act: ClassVar[bool] = True

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Find nothing: an act leaves no thing of its own."""
        return ABSENT

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Look no further than `do` did."""
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Undo nothing."""


# What decides about a thing of several parts: a sealed part speaks for all, then one of ours, then a foreign one.
_WEIGHT: dict[State, int] = {"absent": 0, "foreign": 1, "ours": 2, "committed": 3}


def worst(findings: Iterable[Finding]) -> Finding:
    """Return the finding that decides about a thing of several parts.

    `ours` outweighs `foreign`, so that an undo gets to clear our part; each `clear` judges each part again.
    """
    return max(findings, key=lambda finding: _WEIGHT[finding.state])
