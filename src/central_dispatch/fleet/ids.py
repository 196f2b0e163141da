"""Ids of records: UUID version 7 as 32 hex digits, so that they sort by the time they were made."""

import secrets
import time
import uuid


def new_id() -> str:
    """Return a fresh id (RFC 9562, version 7)."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    # Version 7 and the RFC's variant over the random part.
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value).hex
