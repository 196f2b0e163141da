"""How each entry of the audit trail seals the one before it. Pure; never changed: every trail out there hangs on it."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: What the first entry follows.
BEGINNING = "0" * 64
_FIELDS = ("who", "via", "address", "what", "subject", "title", "before", "after")


def link(previous: str, at: datetime, values: Mapping[str, Any]) -> str:
    """Return an entry's seal: the SHA-256, in hex, of the seal before it, the entry's time and all its fields."""
    listed = [previous, at.astimezone(UTC).isoformat(timespec="microseconds"), *(values[name] for name in _FIELDS)]
    text = json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
