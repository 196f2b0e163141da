"""Fences: the store's epoch and a count. Whoever shows an older one settles nothing."""

from datetime import UTC, datetime

_SINCE = datetime(2020, 1, 1, tzinfo=UTC)


def seconds_of_epoch(now: datetime) -> int:
    """Return the least epoch that a restore at this time gets: seconds since 2020, which fit into 31 bits until 2088.

    A count alone would give the same epoch to two restores of one backup, and fences of the first would hold in the
    second.
    """
    return int((now - _SINCE).total_seconds())
