"""Who asks: the person or token behind a call to a service, and what its role permits."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What an account may do. Each role may do what the ones before it may."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMINISTRATOR = "administrator"

    def includes(self, other: "Role") -> bool:
        """Say whether this role may do what `other` may."""
        return _RANK[self] >= _RANK[other]


_RANK = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ADMINISTRATOR: 2}


@dataclass(frozen=True, slots=True)
class Actor:
    """One caller of a service. `user_id` is None for the machine's own command line and for hosts."""

    name: str
    role: Role
    user_id: int | None = None
    via: Literal["page", "api", "cli", "host"] = "page"
    address: str = ""


DISPATCHER = Actor("dispatcher", Role.ADMINISTRATOR, via="cli")
