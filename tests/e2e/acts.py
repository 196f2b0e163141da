"""What people do in the portal, and what hosts do then: shared by the tests and the screenshots."""

from collections.abc import Callable

from playwright.sync_api import Page
from running_dispatcher import Dispatcher
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


def page_id(page: Page, dispatcher: Dispatcher, name: str, listing: str = "/settings/central-dispatch/") -> str:
    """Return the id of what a list names."""
    page.goto(dispatcher.url + listing)
    href = page.locator("tbody th").get_by_role("link", name=name, exact=True).get_attribute("href")
    assert href
    return href.rstrip("/").rsplit("/", 1)[1]
