"""Takes the screenshots of the documentation: `bin/screenshots [directory]`. Everything it shows is made here."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from acts import (
    CHROMIUM,
    PHONE,
    WIDE,
    add_worker,
    create,
    deploy,
    fail,
    get_stuck,
    half_undone,
    page_id,
    sign_in,
    succeed,
    under_way,
)
from playwright.sync_api import Browser, Page, sync_playwright
from running_dispatcher import Dispatcher, running


@dataclass(frozen=True)
class Shot:
    """One picture: a name, and where the page lies (made of the scene's addresses)."""

    name: str
    address: str


def scene(page: Page, dispatcher: Dispatcher) -> list[Shot]:
    """Make a fleet with everything that the pages show; return where it lies."""
    host = add_worker(page, dispatcher, "web-1")
    second = add_worker(page, dispatcher, "web-2", "1" * 32)
    del second
    page.goto(f"{dispatcher.url}/settings/central-dispatch/new/")
    page.get_by_role("button", name="Add the worker").click()
    for name in ("acme-press", "northwind-media", "harbour-museum"):
        deploy(page, dispatcher, host, create(page, dispatcher, name), succeed)
        host.beat()
    failed = create(page, dispatcher, "blog")
    failed_run = deploy(page, dispatcher, host, failed, fail)
    back_run = deploy(page, dispatcher, host, create(page, dispatcher, "city-library"), half_undone)
    stuck_run = deploy(page, dispatcher, host, create(page, dispatcher, "old-theatre"), get_stuck)
    planned = create(page, dispatcher, "spring-campaign")
    host.take("plan").plan()
    refused = create(page, dispatcher, "summer-campaign")
    taken = {
        "what": "/var/www/summer-campaign is there already",
        "why": "it bears no mark of ours",
        "mend": "Choose another web root, or move the directory away.",
        "field": "web_root",
    }
    host.take("plan").plan(taken)
    listed = create(page, dispatcher, "winter-fair", "Save as draft")
    page.goto(f"{dispatcher.url}/instances/{listed}/inventory/")
    page.get_by_role("button", name="Take an inventory").click()
    items = [
        {"key": "database", "what": "Database winter_fair, 12 tables", "whose": "committed"},
        {"key": "user", "what": "User cd-winter-fair", "whose": "ours"},
        {"key": "vhost", "what": "Virtual host winter-fair.conf", "whose": "foreign"},
    ]
    host.take("inventory").say("found", items=items)
    live_run = deploy(page, dispatcher, host, create(page, dispatcher, "press-archive"), under_way)
    host.beat("deploy press-archive: Install command")
    worker = page_id(page, dispatcher, "web-1")
    active = page_id(page, dispatcher, "acme-press", "/instances/")
    return [
        Shot("overview", "/"),
        Shot("instances", "/instances/"),
        Shot("instance-new", "/instances/new/"),
        Shot("instance", f"/instances/{active}/"),
        Shot("instance-failed", f"/instances/{failed}/"),
        Shot("plan", f"/instances/{planned}/plan/"),
        Shot("plan-problem", f"/instances/{refused}/plan/"),
        Shot("inventory", f"/instances/{listed}/inventory/"),
        Shot("delete", f"/instances/{active}/delete/"),
        Shot("runs", "/runs/"),
        Shot("run-live", f"/runs/{live_run}/"),
        Shot("run-failed", f"/runs/{failed_run}/"),
        Shot("run-backing-out", f"/runs/{back_run}/"),
        Shot("run-stuck", f"/runs/{stuck_run}/"),
        Shot("workers", "/settings/central-dispatch/"),
        Shot("worker", f"/settings/central-dispatch/{worker}/"),
        Shot("worker-edit", f"/settings/central-dispatch/{worker}/edit/"),
        Shot("worker-new", "/settings/central-dispatch/new/"),
        Shot("settings", "/settings/"),
        Shot("audit", "/audit/"),
        Shot("account", "/account/"),
        Shot("not-found", "/nothing/"),
    ]


def take(browser: Browser, dispatcher: Dispatcher, shots: list[Shot], directory: Path, state: str) -> None:
    """Take each picture light and dark, wide and on a phone."""
    for scheme in ("light", "dark"):
        for size_name, size in (("wide", WIDE), ("phone", PHONE)):
            context = browser.new_context(
                ignore_https_errors=True, color_scheme=scheme, viewport=size, storage_state=state
            )
            page = context.new_page()
            for shot in shots:
                page.goto(dispatcher.url + shot.address)
                page.wait_for_timeout(150)
                page.screenshot(path=directory / f"{shot.name}-{scheme}-{size_name}.png", full_page=True)
            context.close()


def main() -> int:
    """Make the scene and take the pictures."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    only = set(sys.argv[2:])
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, running(Path(home)) as dispatcher, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        context = browser.new_context(ignore_https_errors=True, viewport=WIDE)
        page = context.new_page()
        page.goto(f"{dispatcher.url}/login/")
        page.screenshot(path=directory / "login-light-wide.png")
        sign_in(page, dispatcher)
        shots = scene(page, dispatcher)
        state = str(Path(home) / "state.json")
        context.storage_state(path=state)
        take(browser, dispatcher, [shot for shot in shots if not only or shot.name in only], directory, state)
        browser.close()
    print(f"The screenshots are in {directory}")  # noqa: T201 the answer of the command
    return 0


if __name__ == "__main__":
    sys.exit(main())
