"""Takes the screenshots of the documentation: `bin/screenshots [directory]`. Everything it shows is made here."""

import sys
import tempfile
from itertools import product
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

#: What README and docs show.
README = {
    "overview-light-wide",
    "run-live-light-wide",
    "run-live-dark-phone",
    "run-backing-out-dark-wide",
    "plan-light-wide",
}


def scene(page: Page, dispatcher: Dispatcher) -> dict[str, str]:
    """Make a fleet with everything that the pages show; return where each page lies."""
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
    return {
        "overview": "/",
        "instances": "/instances/",
        "instance-new": "/instances/new/",
        "instance": f"/instances/{active}/",
        "instance-failed": f"/instances/{failed}/",
        "plan": f"/instances/{planned}/plan/",
        "plan-problem": f"/instances/{refused}/plan/",
        "inventory": f"/instances/{listed}/inventory/",
        "delete": f"/instances/{active}/delete/",
        "runs": "/runs/",
        "run-live": f"/runs/{live_run}/",
        "run-failed": f"/runs/{failed_run}/",
        "run-backing-out": f"/runs/{back_run}/",
        "run-stuck": f"/runs/{stuck_run}/",
        "workers": "/settings/central-dispatch/",
        "worker": f"/settings/central-dispatch/{worker}/",
        "worker-edit": f"/settings/central-dispatch/{worker}/edit/",
        "worker-new": "/settings/central-dispatch/new/",
        "settings": "/settings/",
        "audit": "/audit/",
        "account": "/account/",
        "not-found": "/nothing/",
    }


def take(browser: Browser, shots: dict[str, str], wanted: set[str], directory: Path, state: str) -> None:
    """Take the pictures, light and dark, wide and on a phone; those that are `wanted`, or all."""
    for scheme, (size_name, size) in product(("light", "dark"), (("wide", WIDE), ("phone", PHONE))):
        context = browser.new_context(ignore_https_errors=True, color_scheme=scheme, viewport=size, storage_state=state)
        page = context.new_page()
        for name, address in shots.items():
            picture = f"{name}-{scheme}-{size_name}"
            if wanted and not wanted & {name, picture}:
                continue
            page.goto(address)
            page.screenshot(path=directory / f"{picture}.png", full_page=True)
        context.close()


def main() -> int:
    """Make the scene and take the pictures."""
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    wanted = set(sys.argv[2:]) if len(sys.argv) > 1 else README
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as home, running(Path(home)) as dispatcher, sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        context = browser.new_context(ignore_https_errors=True, viewport=WIDE)
        page = context.new_page()
        sign_in(page, dispatcher)
        shots = scene(page, dispatcher)
        state = str(Path(home) / "state.json")
        context.storage_state(path=state)
        take(browser, {name: dispatcher.url + path for name, path in shots.items()}, wanted, directory, state)
        browser.close()
    print(f"The screenshots are in {directory}")  # noqa: T201 the answer of the command
    return 0


if __name__ == "__main__":
    sys.exit(main())
