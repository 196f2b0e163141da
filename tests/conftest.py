"""Fixtures that start real servers: once per session, on free loopback ports, with data of their own."""

import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# A run in a script's background ignores Ctrl-C, and so would every program that the tests start and send one.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# So that tests can import `servers`, in whichever folder they lie.
sys.path.insert(0, str(Path(__file__).parent))

from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.platforms.sandbox import MariaDbServer, Sandbox
from central_dispatch.platforms.sandbox.server import free_ports
from servers.places import passable_directory
from servers.users import Users, users_in


@pytest.fixture
def passable() -> Iterator[Path]:
    """A directory that the users of servers and instances can pass."""
    with passable_directory() as place:
        yield place


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    """A running sandbox, shared by all tests of a session: leave it as you found it."""
    with passable_directory() as place:
        box = sandboxes.create(str(place / "box"))
        try:
            box.start()
            yield box
        finally:
            box.stop()


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariaDbServer]:
    """A running MariaDB with a socket and a TCP port, shared by all tests of a session."""
    with passable_directory() as place:
        server = MariaDbServer(
            directory=place / "mariadb",
            socket=place / "run" / "mysql.sock",
            user="provisioner",
            password=secrets.token_urlsafe(16),
            port=free_ports(1)[0],
        )
        try:
            server.install()
            server.start()
            yield server
        finally:
            server.stop()


@pytest.fixture
def users(passable: Path) -> Iterator[Users]:
    """Makes real Unix users, removed after the test. Skips where we are not root."""
    with users_in(passable) as made:
        yield made
