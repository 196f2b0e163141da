"""Changes of a queue's settings, as they come from a form, a command line or JSON. Pure: no database."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from central_dispatch.jobs.queue_settings import QueueSettings

NAMES = frozenset(field.name for field in fields(QueueSettings))
_SETTINGS = TypeAdapter(QueueSettings)


class BadSettings(ValueError):
    """These settings cannot be: (field, what is wrong or allowed) of each."""

    def __init__(self, *problems: tuple[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {words}" for name, words in problems))
        self.problems = problems


def changed_settings(before: QueueSettings, changes: Mapping[str, Any]) -> QueueSettings:
    """Return the settings after these changes. `BadSettings` for a name that there is not, or a value out of bounds."""
    if unknown := sorted(set(changes) - NAMES):
        raise BadSettings(*((name, f"no such setting; there are {', '.join(sorted(NAMES))}") for name in unknown))
    changed = _typed(asdict(before) | dict(changes))
    if problems := changed.problems():
        raise BadSettings(*problems)
    return changed


def _typed(values: Mapping[str, Any]) -> QueueSettings:
    try:
        return _SETTINGS.validate_python(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise BadSettings(*((str(fault["loc"][0]), fault["msg"]) for fault in faults)) from None
