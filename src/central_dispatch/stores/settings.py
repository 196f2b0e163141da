"""Changes of a queue's settings, as they come from a form, a command line or JSON. Pure: no database."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from pydantic import TypeAdapter, ValidationError

from central_dispatch.jobs.queue_settings import QueueSettings

NAMES = frozenset(field.name for field in fields(QueueSettings))
_SETTINGS = TypeAdapter(QueueSettings)


def changed_settings(before: QueueSettings, changes: Mapping[str, Any]) -> QueueSettings:
    """Return the settings after these changes. `ValueError` for a name that there is not, or a value out of bounds."""
    if unknown := sorted(set(changes) - NAMES):
        raise ValueError(f"no such setting: {', '.join(unknown)}; there are {', '.join(sorted(NAMES))}")
    changed = _typed(asdict(before) | dict(changes))
    if problems := changed.problems():
        raise ValueError("; ".join(f"{name}: {allowed}" for name, allowed in problems))
    return changed


def _typed(values: Mapping[str, Any]) -> QueueSettings:
    try:
        return _SETTINGS.validate_python(values)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        raise ValueError("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in faults)) from None
