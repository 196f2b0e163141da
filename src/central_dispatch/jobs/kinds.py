"""The kinds of job: one table. A kind has a queue of the same name. To add one: a handler's file, and a row here."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from central_dispatch.jobs.queue_settings import QueueSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind. `handler` is a dotted path `module:function`, imported only in a child.

    `secret_fields`: keys of its payload, at any depth, that `jobs.masking` hides beside those whose name says it.
    The function takes the payload (a mapping) and a `handling.Attempt`, and returns an `Outcome`.
    """

    name: str
    handler: str
    says: str  # one line for people
    payload_version: int = 1
    defaults: QueueSettings = field(default_factory=QueueSettings)
    aliases: tuple[str, ...] = ()
    secret_fields: tuple[str, ...] = ()


_ROWS = (
    Kind(
        name="housekeeping",
        handler="central_dispatch.handlers.housekeeping:handle",
        says="Removes what has outlived its retention: live changes, looks, reported events, ended jobs",
        defaults=QueueSettings(concurrency=1, period_s=3600.0, time_limit_s=600.0),
    ),
    Kind(
        name="mainQueue",
        handler="central_dispatch.handlers.main_queue:handle",
        says="Splits one message into many jobs of a kind, as a batch",
    ),
)
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _ROWS}


def flat(name: str) -> str:
    """Return a name small and without separators: `record-edit` and `recordEdit` are one."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def find_kind(name: str, kinds: Mapping[str, Kind] = KINDS) -> Kind | None:
    """Return the kind of that name, written in whichever way the seed's users write it: `recordedit`, `record-edit`."""
    wanted = flat(name)
    return next((kind for kind in kinds.values() if wanted in map(flat, (kind.name, *kind.aliases))), None)
