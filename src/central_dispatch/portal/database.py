"""Which database the dispatcher uses. Without configuration: SQLite in its home directory."""

from pathlib import Path
from typing import Any


def databases(directory: Path) -> dict[str, dict[str, Any]]:
    """Return Django's `DATABASES`. MariaDB and PostgreSQL get their branch here when they are supported."""
    return {"default": sqlite(directory / "dispatch.sqlite3")}


def sqlite(path: Path) -> dict[str, Any]:
    """Return the entry for a SQLite file, by our backend with its write gate."""
    return {
        "ENGINE": "central_dispatch.portal.sqlite",
        "NAME": str(path),
        # A thread keeps its connection: opening one costs more than most requests do.
        "CONN_MAX_AGE": None,
        "ATOMIC_REQUESTS": False,
        "TEST": {"NAME": str(path.with_name("test.sqlite3"))},
    }
