"""Times as text: UTC, always with microseconds, so that text sorts as time does and Django reads it."""

from datetime import UTC, datetime


def to_text(moment: datetime) -> str:
    """Return the column's form of an aware time."""
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone: use datetime.now(UTC)")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def from_text(text: str) -> datetime:
    """Return the aware time that a column holds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
