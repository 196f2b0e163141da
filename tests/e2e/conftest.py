"""The portal in a real browser, against a real dispatcher process and a scripted host."""

import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

sys.path.insert(0, str(Path(__file__).parent))

from acts import CHROMIUM, WIDE, add_worker, sign_in
from running_dispatcher import Dispatcher, running
from scripted_host import ScriptedHost, beating

expect.set_options(timeout=15_000)
_numbers = count(1)


@pytest.fixture(scope="session")
def dispatcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dispatcher]:
    """A dispatcher with its first administrator, a viewer, and an operator."""
    with running(tmp_path_factory.mktemp("home")) as started:
        for name in ("viewer", "operator"):
            started.add_person(name, name, "a long enough password")
        yield started


@pytest.fixture(scope="session")
def prepared(dispatcher: Dispatcher, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, ScriptedHost]]:
    """The administrator's session as a file, and a worker `web-1` that is enrolled and stays online."""
    state = tmp_path_factory.mktemp("session") / "administrator.json"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        context = browser.new_context(ignore_https_errors=True)
        page = context.new_page()
        sign_in(page, dispatcher)
        context.storage_state(path=state)
        host = add_worker(page, dispatcher, "web-1")
        browser.close()
    with beating(host):
        yield state, host


@pytest.fixture(scope="module")
def chromium(prepared: object) -> Iterator[Browser]:  # noqa: ARG001 it needs a browser of its own, before this one
    """One browser process for a module's tests. Not for the session: its event loop would be in Django's way."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def signed_in(prepared: tuple[Path, ScriptedHost]) -> Path:
    """The administrator's session, so that each test need not sign in anew."""
    return prepared[0]


@pytest.fixture(scope="session")
def host(prepared: tuple[Path, ScriptedHost]) -> ScriptedHost:
    """The host of the worker `web-1`."""
    return prepared[1]


@pytest.fixture
def new_context(chromium: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Makes browser contexts, and closes them."""
    made: list[BrowserContext] = []

    def make(**options: object) -> BrowserContext:
        context = chromium.new_context(**{"ignore_https_errors": True, "viewport": WIDE, **options})
        context.set_default_timeout(15_000)
        made.append(context)
        return context

    yield make
    for context in made:
        context.close()


@pytest.fixture
def page(new_context: Callable[..., BrowserContext], signed_in: Path) -> Iterator[Page]:
    """A page of the administrator. Whatever the policy forbids, or fails in a script, fails the test."""
    page = new_context(storage_state=signed_in).new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    # The browser logs answers such as 422, and htmx a request that was replaced or cut off: no fault of the page.
    harmless = ("responded with a status of", "htmx:afterRequest", "htmx:sendAbort", "htmx:sendError", "net::ERR_")
    assert [line for line in complaints if not any(words in line for words in harmless)] == []


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"portal-{next(_numbers)}"
