"""The expected bad ending of a service: why it did nothing, as a value."""

from dataclasses import dataclass
from typing import Literal

from pydantic import ValidationError

from central_dispatch.provisioning.problem import Problem

RefusalKind = Literal["invalid", "conflict", "forbidden", "absent"]


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing was changed.

    invalid: the input is at fault (see each problem's `field`). conflict: the state of things is. forbidden:
    the caller may not. absent: there is no such thing. `run` is the run under way where that is the reason.
    """

    kind: RefusalKind
    problems: tuple[Problem, ...]
    run: str = ""

    def __str__(self) -> str:
        """One line for each problem."""
        return "\n".join(map(str, self.problems))


def absent(what: str) -> Refused:
    """Refuse: there is no such thing (or the caller may not know of it)."""
    return Refused("absent", (Problem(f"There is no such {what}", mend="It may have been deleted; look at the list."),))


def forbidden(why: str) -> Refused:
    """Refuse: the caller's role or the worker's settings do not permit it."""
    return Refused("forbidden", (Problem("You may not do this", why, "Ask an administrator."),))


def conflict(what: str, why: str = "", mend: str = "", field: str = "", run: str = "") -> Refused:
    """Refuse: things are not in the state for it."""
    return Refused("conflict", (Problem(what, why, mend, field),), run)


def problems_of(error: ValidationError, fields: dict[str, str] | None = None) -> tuple[Problem, ...]:
    """Return one problem per bad field. `fields` renames a model's fields to the form's."""
    names = fields or {}
    found = []
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        field = str(item["loc"][0]) if item["loc"] else ""
        words = item["msg"].removeprefix("Value error, ")
        found.append(Problem(words, field=names.get(field, field)))
    return tuple(found)
