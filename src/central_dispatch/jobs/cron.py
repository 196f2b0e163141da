"""When a cron expression comes true next. Pure: the time is an argument, the zones are the system's or tzdata's.

At the change to summer time an hour of the day does not exist, at the change back one comes twice. As with the
cron that people know, an expression with a fixed hour and minute runs once on either day: at the first moment
after the gap, and in the first of the two hours. One with a star in the hour or minute follows the real time:
nothing in the missing hour, twice in the double one.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

_FIELDS = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day-of-month", "1 to 31, L for the last; a day that one of the months has"),
    ("month", "1 to 12, or JAN to DEC"),
    ("day-of-week", "0 to 7, or SUN to SAT"),
)
#: A run that is not after `after` is passed over; in the double hour there may be some, never this many.
_MOST_STEPS = 200


class BadSchedule(ValueError):
    """A field of a schedule that cannot be; `field` is its name, the text says what is allowed."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(text)
        self.field = field


def next_run(expression: str, zone: str, after: datetime) -> datetime:
    """Return the first time after `after`, in UTC, at which the five cron fields hold in that zone's wall time.

    `BadSchedule` names the field that is wrong: "expression" (one that never comes true, too) or "zone".
    """
    place = zone_of(zone)
    after = after.astimezone(UTC)
    turns = _parse(expression, after.astimezone(place))
    for _ in range(_MOST_STEPS):
        try:
            found = next(turns).astimezone(UTC)
        except (StopIteration, OverflowError, ValueError):
            break
        # In the double hour the library names the first of the two even where that is over.
        if found > after:
            return found
    raise BadSchedule("expression", f"“{expression}” never comes true")


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its name, such as Europe/Berlin."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: the name of a directory of zones
        mend = "use a name such as UTC, Europe/Berlin or America/New_York"
        raise BadSchedule("zone", f"there is no time zone “{name}”; {mend}") from None


def follows_real_time(expression: str) -> bool:
    """Say whether hour or minute has a star: such a schedule follows the real time, others the clock on the wall."""
    minute, hour, *_ = expression.split()
    return minute.startswith("*") or hour.startswith("*")


def _parse(expression: str, at: datetime) -> CronSim:
    parts = expression.split()
    if len(parts) != len(_FIELDS):
        names = ", ".join(name for name, _ in _FIELDS)
        raise BadSchedule("expression", f"“{expression}” has {len(parts)} fields; write five: {names}")
    try:
        return CronSim(expression, at)
    except CronSimError as error:
        for (name, allowed), part in zip(_FIELDS, parts, strict=True):
            if name in str(error):
                raise BadSchedule("expression", f"{name} “{part}”: use {allowed}") from None
        raise BadSchedule("expression", f"“{expression}”: {error}") from None
