"""Unix users for tests, with names that nothing else has, removed in the end."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from central_dispatch.platforms.accounts import LinuxAccounts
from central_dispatch.provisioning.ports import User

NEEDS_ROOT = "needs root: makes Unix users"


class Users:
    """Makes users; `accounts` is the real adapter."""

    def __init__(self, place: Path) -> None:
        self.accounts = LinuxAccounts(str(place / "last-id"))
        self._made: list[str] = []

    def name(self) -> str:
        """Return a name that is removed in the end, whether a test makes it or not."""
        name = f"cdt-{secrets.token_hex(5)}"
        self._made.append(name)
        return name

    def make(self, comment: str = "test") -> User:
        """Make a user."""
        number = self.accounts.next_id()
        user = User(self.name(), number, number, comment, "/nonexistent")
        self.accounts.create(user)
        return user

    def remove_all(self) -> None:
        """Remove every user with its processes."""
        for name in self._made:
            self.accounts.end_processes(name)
            self.accounts.delete(name)


@contextmanager
def users_in(place: Path) -> Iterator[Users]:
    """Yield a maker of users; skips, and says so, where we are not root."""
    if os.geteuid() != 0:
        pytest.skip(NEEDS_ROOT)
    users = Users(place)
    try:
        yield users
    finally:
        users.remove_all()
