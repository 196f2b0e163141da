"""Times and sizes as people read them. Pure: now is an argument."""

from datetime import datetime, timedelta

_MINUTE, _HOUR, _DAY, _MONTH = 60, 3600, 86_400, 31 * 86_400
_JUST_NOW_S = 5


def duration_words(length: timedelta) -> str:
    """Return `40 ms`, `1.4 s`, `12 s`, `3 min 5 s` or `2 h 10 min`."""
    seconds = max(length.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:  # noqa: PLR2004 below ten seconds a tenth is worth showing
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < 2 * _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def plain_duration(seconds: float) -> str:
    """Return a length that somebody set: `0.5 s`, `10 s`, `5 min`, `1 h 30 min`, `2 d`; what is zero is left out."""
    if seconds < _MINUTE or seconds % 1:
        return f"{seconds:.3g} s"
    left, parts = int(seconds), []
    for size, word in ((_DAY, "d"), (_HOUR, "h"), (_MINUTE, "min"), (1, "s")):
        count, left = divmod(left, size)
        parts += [f"{count} {word}"] if count else []
    return " ".join(parts[:2])


def distance_words(moment: datetime, now: datetime) -> str:
    """Return `12 s ago`, `in 3 h`, or the date for what is more than a month away."""
    seconds = (now - moment).total_seconds()
    distance = abs(seconds)
    if distance < _JUST_NOW_S:
        return "just now"
    for limit, unit, word in ((_MINUTE, 1, "s"), (_HOUR, _MINUTE, "min"), (_DAY, _HOUR, "h"), (_MONTH, _DAY, "d")):
        if distance < limit:
            figure = f"{int(distance // unit)} {word}"
            return f"in {figure}" if seconds < 0 else f"{figure} ago"
    return moment.strftime("%-d %b %Y")


def size_words(size: int) -> str:
    """Return a number of bytes as `512 B`, `4.2 MB`, `120 GB` (powers of 1000)."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 SI prefixes
            return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.1f} {unit}"  # noqa: PLR2004 three digits
        value /= 1000
    return f"{value:.1f} TB"
