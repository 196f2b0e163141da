"""Who asks: the person or token behind a call to a service, the roles they hold, and what confines them."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Flag, auto
from typing import Literal


class Role(Flag):
    """The roles of the portal. A person may hold several: `Role.OPERATOR | Role.WORKER_MANAGER`.

    What each may do is in `fleet.permissions`; none contains another, but for the administrator's.
    """

    ADMINISTRATOR = auto()
    OPERATOR = auto()
    INSTANCE_UPGRADES = auto()
    INSTANCE_CACHE = auto()
    LIBRARY_MANAGER = auto()
    WORKER_MANAGER = auto()
    VIEWER = auto()

    @property
    def word(self) -> str:
        """The name of one role as it is written in commands, the API and the database."""
        return str(self.name).lower()

    @property
    def words(self) -> tuple[str, ...]:
        """The names of all roles that this holds."""
        return tuple(role.word for role in self)

    @property
    def title(self) -> str:
        """The roles for people: `operator, worker manager`."""
        return ", ".join(_TITLES.get(role, role.word.replace("_", " ")) for role in self) or "no role"

    @classmethod
    def named(cls, words: Iterable[str]) -> "Role":
        """Return the roles of these names; `KeyError` for a name that is none."""
        roles = NO_ROLE
        for word in words:
            roles |= cls[word.upper()]
        return roles


NO_ROLE = Role(0)
_TITLES = {
    Role.INSTANCE_UPGRADES: "managed instance upgrades",
    Role.INSTANCE_CACHE: "managed instance cache",
}


@dataclass(frozen=True, slots=True)
class Limits:
    """The things that a person may act on, by id. Both of the fleet's empty: every instance and worker.

    An instance is within them by its own id or by its worker's. `databoxes` confine nothing yet: they are kept for the
    acts of the media library.
    """

    workers: frozenset[str] = frozenset()
    instances: frozenset[str] = frozenset()
    databoxes: frozenset[str] = frozenset()

    @property
    def confine_fleet(self) -> bool:
        """Only some instances may be acted on."""
        return bool(self.workers or self.instances)


NO_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Actor:
    """One caller of a service. `user_id` is None for the machine's own command line and for hosts.

    `scope`: patterns of acts, such as `fleet.view` or `job.*`, that a token is for; None: whatever the roles permit.
    """

    name: str
    roles: Role
    user_id: int | None = None
    via: Literal["page", "api", "cli", "host"] = "page"
    address: str = ""
    limits: Limits = NO_LIMITS
    scope: tuple[str, ...] | None = None

    @property
    def administers(self) -> bool:
        """The caller holds the administrator's role. What it may do is still `permissions.may`'s to say."""
        return Role.ADMINISTRATOR in self.roles


DISPATCHER = Actor("dispatcher", Role.ADMINISTRATOR, via="cli")
