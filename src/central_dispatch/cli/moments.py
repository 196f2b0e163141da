"""Times as people write them on a command line: an age such as 2h, or a date and time of this machine's zone."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_AGE = re.compile(r"(\d{1,6})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class Moment(click.ParamType[datetime]):
    """`30m`, `2h`, `7d` ago; or `2026-11-24`, `2026-11-24 14:30`, with a zone or in this machine's own."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:  # noqa: ANN401 Click's
        """Return the aware time."""
        if isinstance(value, datetime):
            return value
        found = moment(str(value), datetime.now(UTC))
        if found is None:
            self.fail(f"“{value}” is no time: write an age such as 30m, 2h or 7d, or 2026-11-24 14:30", param, ctx)
        return found


def moment(text: str, now: datetime) -> datetime | None:
    """Read a time; None where it is none."""
    try:
        if age := _AGE.fullmatch(text):
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):  # the latter: before the year 1, or after 9999
        return None
