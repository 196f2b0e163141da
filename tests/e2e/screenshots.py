"""Takes the screenshots of the documentation: `bin/screenshots [directory]`. Everything it shows is made here."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from playwright.sync_api import Browser, Page, sync_playwright
from running_dispatcher import Dispatcher, running
from scripted_host import ScriptedHost, ScriptedRun

CHROMIUM = {
    "executable_path": "/usr/bin/chromium",
    "args": ["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
}
WIDE = {"width": 1280, "height": 860}
PHONE = {"width": 390, "height": 844}
_BROKEN = {
    "what": "php install.php exited with status 255",
    "why": "PHP Fatal error: Uncaught mysqli_sql_exception: Access denied for user 'blog'@'localhost'",
    "mend": "Look at the step's output below. Correct the source, then deploy again.",
}


@dataclass(frozen=True)
class Shot:
    """One picture: a name, and where the page lies (made of the scene's addresses)."""

    name: str
    address: str


def sign_in(page: Page, dispatcher: Dispatcher) -> None:
    """Sign in as the first administrator."""
    page.goto(f"{dispatcher.url}/login/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(dispatcher.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{dispatcher.url}/")


def add_worker(page: Page, dispatcher: Dispatcher, name: str, machine_id: str = "0" * 32) -> ScriptedHost:
    """Add a worker in the portal and enrol a scripted host with the token that the page shows."""
    page.goto(f"{dispatcher.url}/settings/central-dispatch/new/")
    page.get_by_label("Worker name").fill(name)
    page.get_by_role("button", name="Add the worker").click()
    host = ScriptedHost(dispatcher.url, machine_id)
    host.enrol(page.locator("#token").inner_text().strip())
    host.start()
    return host


def create(page: Page, dispatcher: Dispatcher, name: str, then: str = "Save and show the plan") -> str:
    """Create an instance by its form; return its id."""
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Administrator e-mail").fill("admin@example.com")
    page.get_by_role("button", name=then).click()
    page.wait_for_url("**/instances/0*/**")
    return page.url.split("/instances/")[1].split("/")[0]


def deploy(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str, act: Callable[[ScriptedRun], None]
) -> str:
    """Press deploy, and have the host do as it is told; return the run's id."""
    page.goto(f"{dispatcher.url}/instances/{instance}/")
    page.locator("#instance-actions").get_by_role("button", name="Deploy").click()
    page.wait_for_url("**/runs/**")
    run = host.take("deploy")
    act(run)
    return run.order.run


def succeed(run: ScriptedRun) -> None:
    """Carry a deployment through."""
    run.begin()
    for index in range(10):
        run.step(index, *(("Installing WordPress 6.10.0", "Success: WordPress installed.") if index == 6 else ()))
    run.commit()


def fail(run: ScriptedRun) -> None:
    """Fail at the install command and back out."""
    run.begin()
    for index in range(6):
        run.step(index)
    run.say("intent", 6)
    for line in ("Installing WordPress 6.10.0", "PHP Fatal error:  Uncaught mysqli_sql_exception: Access denied"):
        run.say("output", 6, line=line)
    run.say("failed", 6, **_BROKEN)
    for index in range(6, -1, -1):
        run.undo(index)
    run.say("end", ending="backed_out")


def half_undone(run: ScriptedRun) -> None:
    """Fail, and stop in the middle of the back-out."""
    run.begin()
    for index in range(6):
        run.step(index)
    run.say("intent", 6)
    run.say("output", 6, line="PHP Fatal error:  Uncaught mysqli_sql_exception: Access denied")
    run.say("failed", 6, **_BROKEN)
    for index in (6, 5):
        run.undo(index)
    run.say("undo", 4)


def get_stuck(run: ScriptedRun) -> None:
    """Fail, and then fail to undo."""
    half_undone(run)
    run.say("undone", 4)
    run.say("undo", 3)
    run.say("undone", 3)
    run.say("undo", 2)
    run.say(
        "stuck",
        2,
        what="the database could not be dropped",
        why="MariaDB answered: Lock wait timeout exceeded",
        mend="End the connection that holds it (SHOW PROCESSLIST), then retry.",
    )


def under_way(run: ScriptedRun) -> None:
    """Stop in the middle of the install command."""
    run.begin()
    for index in range(6):
        run.step(index)
    run.say("intent", 6)
    for line in ("Installing WordPress 6.10.0", "Creating tables … 12 of 12", "Writing options"):
        run.say("output", 6, line=line)


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


def page_id(page: Page, dispatcher: Dispatcher, name: str, listing: str = "/settings/central-dispatch/") -> str:
    """Return the id of what a list names."""
    page.goto(dispatcher.url + listing)
    href = page.locator("tbody th").get_by_role("link", name=name, exact=True).get_attribute("href")
    assert href
    return href.rstrip("/").rsplit("/", 1)[1]


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
