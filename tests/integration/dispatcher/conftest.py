"""A dispatcher that runs for the tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dispatchers.server import Browser, Dispatcher, Host, running


@pytest.fixture(scope="module")
def dispatcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dispatcher]:
    """A running dispatcher."""
    with running(Path(tmp_path_factory.mktemp("home"))) as started:
        yield started


@pytest.fixture(scope="module")
def administrator(dispatcher: Dispatcher) -> Browser:
    """A browser of the first administrator, logged in with the password that was shown once."""
    browser = Browser(dispatcher)
    reply = browser.log_in(dispatcher.password)
    assert reply.status == 302, reply
    return browser


_NUMBER = iter(range(1, 1000))


@pytest.fixture
def host(dispatcher: Dispatcher, administrator: Browser) -> Host:
    """A host that is enrolled and in its first session."""
    made = administrator.api("POST", "workers", {"name": f"web-{next(_NUMBER)}", "host_url": "host.example.com"})
    assert made.status == 201, made
    scripted = Host(dispatcher)
    scripted.enrol(made.body["token"])
    scripted.start()
    return scripted


@pytest.fixture
def instance(administrator: Browser, host: Host) -> str:
    """The id of a draft on that host."""
    values = {
        "worker": host.worker,
        "name": f"acme-{next(_NUMBER)}",
        "source": "wordpress",
        "release": "6.1.9",
        "admin_email": "admin@example.com",
    }
    made = administrator.api("POST", "instances", values)
    assert made.status == 201, made
    return str(made.body["id"])
