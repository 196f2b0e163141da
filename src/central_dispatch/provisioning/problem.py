"""What went wrong, in the words an administrator needs: what, why, and what to do."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """An expected bad ending.

    `field` names the form field or setting at fault where there is one; `mend` is an instruction.
    """

    what: str
    why: str = ""
    mend: str = ""
    field: str = ""

    def __str__(self) -> str:
        """Return one line: field, what, why, mend."""
        head = f"{self.field}: {self.what}" if self.field else self.what
        reason = f"{head}: {self.why}" if self.why else head
        return f"{reason.rstrip('.')}. {self.mend}".strip() if self.mend else reason

    def to_json(self) -> dict[str, str]:
        """Return the form that the journal and the wire carry."""
        return {"what": self.what, "why": self.why, "mend": self.mend, "field": self.field}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Problem":
        """Read what `to_json` wrote."""
        return cls(**{key: str(value.get(key, "")) for key in ("what", "why", "mend", "field")})


class HostError(Exception):
    """A port could not do what was asked; carries the `Problem` to show."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class Unavailable(HostError):
    """A server that the port needs is down: a step fails by it, an undo waits for it."""


class Occupied(HostError):
    """Something holds the name already; nothing was changed."""
