"""A plan: the ordered steps of a run, undoable up to the commit, and the tail that follows it."""

from dataclasses import dataclass
from typing import Any, Literal

from central_dispatch.provisioning.step import Change, Step
from central_dispatch.provisioning.steps import step_from_json
from central_dispatch.provisioning.tail import tail_from_json

RunKind = Literal["deploy", "delete", "clear", "prepare"]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run does. `steps` are undone last first on failure; `tail` is only ever carried forward."""

    kind: RunKind
    instance: str  # id, 32 hex digits
    name: str  # the instance's name, for people
    steps: tuple[Step, ...]
    tail: tuple[Step, ...] = ()

    def changes(self) -> list[tuple[Step, list[Change]]]:
        """Return each step with what it would change, in order, for pages and terminals."""
        return [(step, step.changes()) for step in (*self.steps, *self.tail)]

    def to_json(self) -> dict[str, Any]:
        """Return the form that the journal's first line carries."""
        return {
            "kind": self.kind,
            "instance": self.instance,
            "name": self.name,
            "steps": [step.to_json() for step in self.steps],
            "tail": [step.to_json() for step in self.tail],
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Plan":
        """Read what `to_json` wrote."""
        return cls(
            kind=value["kind"],
            instance=value["instance"],
            name=value["name"],
            steps=tuple(map(step_from_json, value["steps"])),
            tail=tuple(map(tail_from_json, value["tail"])),
        )
