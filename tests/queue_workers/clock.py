"""A wall clock that a test sets, in real processes: monotonic time goes on as it does when an administrator sets it."""

import os
import sys
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path

#: Names the file that holds by how many seconds the clock is wrong.
VARIABLE = "QUEUE_WORKERS_CLOCK"


def offset() -> timedelta:
    place = os.environ.get(VARIABLE)
    return timedelta(seconds=float(Path(place).read_text(encoding="ascii"))) if place else timedelta()


class Shifted(datetime):
    """The time of day as the test set it."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Shifted":
        found = datetime.now(UTC) + offset()
        return cls.fromtimestamp(found.timestamp(), tz)


def shift() -> None:
    """Have all of the product's modules in this process read the test's clock, if there is one."""
    if VARIABLE in os.environ:
        for name, module in list(sys.modules.items()):
            if name.startswith("central_dispatch.") and getattr(module, "datetime", None) is datetime:
                module.datetime = Shifted  # type: ignore[attr-defined]  # that is what this is for
