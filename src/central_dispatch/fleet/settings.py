"""What administrators set in the portal, by groups. Read where it matters, so that a change counts at once."""

import logging
from functools import cache
from typing import Any, ClassVar, TypeVar

from django.db import transaction
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from central_dispatch.fleet import audit
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.announce import announce
from central_dispatch.fleet.models import Setting
from central_dispatch.fleet.permissions import may
from central_dispatch.fleet.refusal import Refused, forbidden, problems_of

_log = logging.getLogger(__name__)


class Group(BaseModel):
    """A group of settings. Every field has a default; a value that this release does not understand is left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    #: Fields that are sealed; the audit trail says of them only whether they changed.
    secret: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def known_of(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Return what this release understands of a stored value, where a field can be understood in part."""
        return value


class LoginRules(Group):
    """How people log in. `second_factor_roles`: the roles whose holders must have a second factor."""

    name = "login"
    second_factor_roles: tuple[str, ...] = ()

    @field_validator("second_factor_roles")
    @classmethod
    def _known(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return Role.named(words).words
        except KeyError as error:
            raise ValueError(f"there is no role {error.args[0].lower()}") from None

    @classmethod
    def known_of(cls, value: dict[str, Any]) -> dict[str, Any]:
        """Leave out the roles that this release does not know: the rule still holds for the others."""
        words = value.get("second_factor_roles")
        if not isinstance(words, list):
            return value
        known = [word for word in words if isinstance(word, str) and word.upper() in Role.__members__]
        if len(known) < len(words):
            _say_left_out(cls.name, f"roles that this release does not know, of {words}")
        return {**value, "second_factor_roles": known}

    def wants_second_factor(self, roles: Role) -> bool:
        """Say whether somebody with these roles must have a second factor."""
        return bool(roles & Role.named(self.second_factor_roles))


class Retention(Group):
    """For how long what has ended is kept, in days; the audit trail is kept for ever."""

    name = "retention"
    jobs_days: int = Field(default=30, ge=1, le=3650)
    looks_days: int = Field(default=30, ge=1, le=3650)
    events_per_run: int = Field(default=2000, ge=100, le=1_000_000)


GroupT = TypeVar("GroupT", bound=Group)


def read(group: type[GroupT]) -> GroupT:
    """Return a group as it is set, with defaults for the rest."""
    row = Setting.objects.filter(pk=group.name).first()
    value = {name: item for name, item in (row.value if row else {}).items() if name in group.model_fields}
    value = group.known_of(value)
    try:
        return group.model_validate(value)
    except ValidationError as error:
        bad = {str(one["loc"][0]) for one in error.errors() if one["loc"]}
        _say_left_out(group.name, f"what this release does not understand: {', '.join(sorted(bad))}")
        return group.model_validate({name: item for name, item in value.items() if name not in bad})


def change(by: Actor, group: type[GroupT], values: dict[str, Any]) -> GroupT | Refused:
    """Change some of a group's values; on record with what they were, but for secrets."""
    if not may(by, "settings.change"):
        return forbidden("settings are changed by administrators")
    with transaction.atomic():
        Setting.objects.select_for_update().filter(pk=group.name).first()
        before = read(group)
        try:
            after = group.model_validate({**before.model_dump(), **values})
        except ValidationError as error:
            return Refused("invalid", problems_of(error))
        if after == before:
            return after
        Setting.objects.update_or_create(pk=group.name, defaults={"value": after.model_dump(mode="json")})
        was, now = before.model_dump(mode="json"), after.model_dump(mode="json")
        changed = [name for name in now if now[name] != was[name]]
        audit.record(
            by,
            "settings.change",
            f"settings:{group.name}",
            title=group.name,
            before={name: _shown(group, name, was[name]) for name in changed},
            after={name: _shown(group, name, now[name]) for name in changed},
        )
        announce("settings")
    return after


@cache
def _say_left_out(name: str, what: str) -> None:
    """Log it, once: settings are read at every request."""
    _log.warning("the settings “%s” hold %s; it is left out", name, what)


def _shown(group: type[Group], name: str, value: object) -> object:
    return ("set" if value else "") if name in group.secret else value
