"""The Worker Manager in a real browser, with a real queue worker at work."""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from acts import CHROMIUM, PHONE, WIDE
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from running_dispatcher import Dispatcher, running
from test_appearance import AXE_OPTIONS

from central_dispatch.jobs.job import NewJob
from queue_workers.portal_rig import PortalRig

PASSWORD = "a long enough password"
QUEUES = ("no-op", "patient", "misbehave", "report", "finishing")
JOBS = "/worker-manager/jobs/"


@dataclass
class Site:
    """A dispatcher with a queue worker on its home, and the session of a worker manager."""

    dispatcher: Dispatcher
    rig: PortalRig
    session: Path

    def address(self, path: str) -> str:
        return self.dispatcher.url + path

    def job(self, kind: str, **payload: object) -> int:
        (job,) = self.rig.store.enqueue([NewJob(kind=kind, payload=payload, enqueued_by="test")], datetime.now(UTC))
        assert job is not None
        self.rig.broker.ring([kind])
        return job

    def failed(self, **payload: object) -> int:
        job = self.job("misbehave", how="fail", **payload)
        self.rig.until_state(job, "in_error")
        return job


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("worker-manager")
    rig = PortalRig(home)
    try:
        with running(home, test_kinds=True) as dispatcher:
            dispatcher.add_person("manager", "worker_manager", PASSWORD)
            rig.start(*QUEUES, slots=4)
            session = home / "session.json"
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(**CHROMIUM)
                page = browser.new_context(ignore_https_errors=True).new_page()
                page.goto(f"{dispatcher.url}/login/")
                page.get_by_label("Username").fill("manager")
                page.get_by_label("Password").fill(PASSWORD)
                page.get_by_role("button", name="Sign in").click()
                page.wait_for_url(f"{dispatcher.url}/")
                page.context.storage_state(path=session)
                browser.close()
            yield Site(dispatcher, rig, session)
    finally:
        rig.close()


@pytest.fixture(scope="module")
def prepared(site: Site) -> Site:
    """What the browser of this module waits for."""
    return site


@pytest.fixture(scope="module")
def signed_in(site: Site) -> Path:
    """The worker manager's session."""
    return site.session


@pytest.fixture(scope="module")
def chromium(prepared: Site) -> Iterator[Browser]:  # noqa: ARG001 it starts a browser of its own, before this one
    """One browser for the module."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**CHROMIUM)
        yield browser
        browser.close()


def mark(page: Page) -> None:
    page.evaluate("window.sameDocument = true")


def is_same(page: Page) -> bool:
    return bool(page.evaluate("window.sameDocument === true"))


def test_a_failed_job_is_found_read_and_requeued_and_its_end_is_seen_without_a_reload(page: Page, site: Site) -> None:
    job = site.failed(record=7, password="hunter2-hunter2")
    page.goto(site.address("/"))
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url("**/worker-manager/jobs/")
    page.get_by_role("navigation", name="States").get_by_role("link", name=re.compile("in error")).click()
    page.get_by_label("Search by error text or number").fill("never work")
    row = page.locator(f"#job-{job}")
    expect(row).to_contain_text("this can never work")
    expect(page).to_have_url(re.compile(r"q=never"))
    row.get_by_role("link", name="misbehave").click()
    expect(page.locator("#job-notices")).to_contain_text("this can never work")
    expect(page.locator("#job-notices")).to_contain_text(re.compile("expires in 3 d"))
    expect(page.locator("#job")).to_contain_text("1 of 1 attempts")
    expect(page.locator("pre[aria-label=Payload]")).to_contain_text('"password": "••••••"')
    assert "hunter2" not in page.content()
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status").first).to_contain_text("It waits for a worker")
    mark(page)
    # It fails again, as it must: what the page shows then came by itself.
    expect(page.locator("#job-state")).to_have_text("in error")
    expect(page.locator("[id^=execution-]")).to_have_count(2)
    assert is_same(page)


def test_a_running_job_is_interrupted_and_the_state_says_what_really_happened(page: Page, site: Site) -> None:
    job = site.job("patient", seconds=60)
    page.goto(site.address(f"{JOBS}{job}/"))
    expect(page.locator("#job-state")).to_have_text("running")
    page.get_by_role("button", name="Interrupt").click()
    expect(page.locator("#job-state")).to_have_text(re.compile("asked to stop|interrupted"))
    expect(page.locator("#job-state")).to_have_text("interrupted")
    expect(page.locator("#job-notices")).to_contain_text("Interrupted by manager")
    assert site.rig.job(job)["state"] == "interrupted"


def test_progress_and_output_are_on_the_page_while_the_job_runs(page: Page, site: Site) -> None:
    job = site.job("report")
    page.goto(site.address(f"{JOBS}{job}/"))
    mark(page)
    expect(page.locator("#job-progress")).to_contain_text("40 %: four of ten")
    expect(page.locator("#job-state")).to_have_text("finished")
    expect(page.get_by_label("What it printed")).to_contain_text("working in")
    assert is_same(page)


def test_many_are_selected_by_keyboard_and_tried_again_after_a_confirmation(page: Page, site: Site) -> None:
    jobs = [site.failed(record=1700 + n) for n in range(3)]
    page.goto(site.address(f"{JOBS}?state=in_error"))
    expect(page.locator(f"#job-{jobs[0]}")).to_be_visible()
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#bulk")).to_contain_text("2 selected")
    page.get_by_role("button", name="Retry…").click()
    expect(page.get_by_role("heading", name="Retry 2 jobs")).to_be_visible()
    page.get_by_role("button", name="Retry 2").click()
    expect(page.get_by_role("status").first).to_contain_text("2 jobs tried again")
    site.rig.until_state(jobs[2], "in_error")


def test_all_that_a_filter_finds_is_cancelled_after_its_count_was_confirmed(page: Page, site: Site) -> None:
    page.goto(site.address("/worker-manager/queues/no-op/"))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#queue-state")).to_have_text("paused")
    site.rig.store.enqueue([NewJob(kind="no-op", payload={"n": n}) for n in range(120)], datetime.now(UTC))
    page.goto(site.address(f"{JOBS}?state=waiting&queue=no-op"))
    page.get_by_label("All that this list finds").check()
    page.get_by_role("button", name="Cancel…").click()
    expect(page.get_by_role("heading", name="Cancel 120 jobs")).to_be_visible()
    page.get_by_label("Why").fill("a test")
    page.get_by_role("button", name="Cancel 120").click()
    expect(page.get_by_role("status").first).to_contain_text("120 jobs cancelled")
    page.goto(site.address("/worker-manager/queues/no-op/"))
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#queue-state")).not_to_have_text("paused")


def test_a_retry_setting_is_changed_under_load_and_holds_for_the_next_failure(page: Page, site: Site) -> None:
    over = threading.Event()

    def load() -> None:
        while not over.wait(0.02):
            site.rig.store.enqueue([NewJob(kind="no-op", payload={}) for _ in range(5)], datetime.now(UTC))
            site.rig.broker.ring(["no-op"])

    worker = threading.Thread(target=load)
    worker.start()
    try:
        page.goto(site.address("/worker-manager/settings/misbehave/"))
        field = page.get_by_label("Maximum number of attempts")
        field.fill("0")
        page.get_by_role("button", name="Save").click()
        expect(page.locator("#id_max_attempts-error")).to_contain_text("Use a number from 1 to 1000")
        field.fill("2")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_role("status").first).to_contain_text("They hold from now on")
        job = site.job("misbehave", how="raise")
        assert site.rig.until_state(job, "in_error")["attempts"] == 2
        page.goto(site.address(f"{JOBS}{job}/"))
        expect(page.locator("#job")).to_contain_text("2 of 2 attempts")
    finally:
        over.set()
        worker.join()


def test_what_another_one_changed_meanwhile_is_shown_and_not_overwritten(page: Page, site: Site) -> None:
    page.goto(site.address("/worker-manager/settings/report/"))
    site.rig.store.change_settings("report", {"max_attempts": 7, "time_limit_s": 99})
    page.get_by_label("Maximum number of attempts").fill("5")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_max_attempts-error")).to_contain_text("Somebody changed this meanwhile: it is 7 now")
    assert site.rig.store.settings("report").max_attempts == 7
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status").first).to_contain_text("saved")
    after = site.rig.store.settings("report")
    assert (after.max_attempts, after.time_limit_s) == (5, 99)


def test_the_list_keeps_scroll_selection_and_what_is_typed_while_jobs_come_and_go(page: Page, site: Site) -> None:
    chosen = site.failed(record=99)
    page.set_viewport_size({"width": 1280, "height": 500})
    page.goto(site.address(JOBS))
    page.locator(f"#job-{chosen}").get_by_role("checkbox").check()
    expect(page.locator("#job-list-note")).to_contain_text("Held while you select")
    page.evaluate("window.scrollTo(0, 400)")
    mark(page)
    before = page.evaluate("window.scrollY")
    made = site.job("no-op")
    site.rig.until_state(made, "finished")
    page.wait_for_timeout(1500)  # the hint has come, and the list has looked
    expect(page.locator(f"#job-{made}")).to_have_count(0)
    expect(page.locator(f"#job-{chosen}").get_by_role("checkbox")).to_be_checked()
    assert page.evaluate("window.scrollY") == before
    page.locator(f"#job-{chosen}").get_by_role("checkbox").uncheck()
    page.locator("body").click(position={"x": 5, "y": 5})
    site.job("no-op")
    expect(page.locator(f"#job-{made}")).to_be_visible()
    assert is_same(page)


def test_a_list_shows_a_new_job_within_a_second(page: Page, site: Site) -> None:
    page.goto(site.address(JOBS))
    expect(page.locator("#job-list")).to_be_visible()
    page.wait_for_timeout(1500)  # the stream is open, and the page has looked once
    seen = []
    for _ in range(5):
        job = site.job("no-op")
        began = time.monotonic()
        page.locator(f"#job-{job}").wait_for()
        seen.append(time.monotonic() - began)
    # Not asserted to the tenth: the median of five on a machine that does other things, too.
    assert sorted(seen)[2] < 3, seen


def test_queues_are_watched_paused_and_requeued_in_bulk(page: Page, site: Site) -> None:
    job = site.failed(record=12)
    page.goto(site.address("/worker-manager/queues/"))
    first = page.locator("#queue-list tbody tr").first
    expect(first).to_contain_text("misbehave")
    page.get_by_role("button", name="Pause finishing").click()
    expect(page.locator("#queue-finishing")).to_contain_text("paused")
    page.get_by_role("button", name="Resume finishing").click()
    expect(page.locator("#queue-finishing")).not_to_contain_text("paused")
    first.get_by_role("link", name="Requeue what failed in misbehave").click()
    expect(page.locator(".problem")).to_contain_text("as of now")
    page.get_by_role("button", name="Retry").click()
    expect(page.get_by_role("status").first).to_contain_text("wait for a worker again")
    site.rig.until_state(job, "in_error")


def test_a_schedule_is_made_run_switched_off_and_removed(page: Page, site: Site, name: str) -> None:
    page.goto(site.address("/worker-manager/schedules/"))
    page.keyboard.press("n")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Queue").select_option("no-op")
    page.get_by_label("When").fill("61 * * * *")
    page.get_by_label("Payload").fill('{"token": "a-secret-of-mine", "n": 1}')
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_expression-error")).to_be_visible()
    page.get_by_label("When").fill("30 2 * * 1-5")
    page.get_by_role("button", name="Save").click()
    row = page.locator(f"#schedule-{name}")
    expect(row).to_contain_text("30 2 * * 1-5")
    row.get_by_role("button", name=re.compile("Switch .* off")).click()
    expect(page.locator(f"#schedule-{name}")).to_contain_text("off")
    page.get_by_role("link", name=name).click()
    expect(page.get_by_label("Payload")).to_have_value(re.compile("••••••"))
    page.get_by_role("button", name="Save").click()
    stored = site.rig.rows("SELECT payload FROM job_schedule WHERE name = ?", name)[0]["payload"]
    assert json.loads(stored) == {"token": "a-secret-of-mine", "n": 1}
    page.locator(f"#schedule-{name}").get_by_role("button", name=re.compile("Run .* now")).click()
    expect(page.locator("#job-state")).to_have_text(re.compile("waiting|running|finished"))
    page.goto(site.address(f"/worker-manager/schedules/{name}/"))
    page.get_by_role("button", name="Remove").click()
    expect(page.locator(f"#schedule-{name}")).to_have_count(0)


def test_workers_are_shown_with_what_each_does_and_assignments_are_made(page: Page, site: Site) -> None:
    job = site.job("patient", seconds=60)
    site.rig.until_state(job, "running")
    page.goto(site.address("/worker-manager/workers/"))
    expect(page.locator("#queue-workers")).to_contain_text(f"patient {job}")
    expect(page.locator("#queue-workers")).to_contain_text("of 4")
    page.get_by_role("link", name="New assignment").click()
    page.get_by_label("Name").fill("night")
    page.get_by_label("Jobs at once").fill("3")
    page.get_by_label("report", exact=True).check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#assignment-night")).to_contain_text("report")
    site.rig.interrupt(job)


@pytest.fixture(scope="module")
def addresses(site: Site) -> list[str]:
    """Every page of the Worker Manager, with something on it."""
    failed, done = site.failed(record=3, file="/a/very/long/path/" + "x" * 300), site.job("report")
    site.rig.until_state(done, "finished")
    parent = site.rig.rows("SELECT id FROM job_parent")[0]["id"]
    pages = ["queues/", "queues/misbehave/", "queues/misbehave/purge/", "settings/", "settings/misbehave/", "workers/"]
    pages += ["batches/", "schedules/", "schedules/new/", "workers/assignments/new/", f"workers/{parent}/"]
    pages += ["jobs/", "jobs/?state=in_error", "jobs/?q=nothing+fits", f"jobs/{failed}/", f"jobs/{done}/"]
    return ["/", *(f"/worker-manager/{page}" for page in pages)]


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", WIDE), ("light", PHONE)])
def test_every_page_passes_axe(
    new_context: Callable[..., BrowserContext],
    site: Site,
    addresses: list[str],
    scheme: str,
    size: dict[str, int],
) -> None:
    page = new_context(storage_state=site.session, color_scheme=scheme, viewport=size).new_page()
    found = []
    for address in addresses:
        page.goto(site.address(address))
        for violation in Axe().run(page, options=AXE_OPTIONS).response["violations"]:
            nodes = [f"{node['html'][:160]} {node.get('failureSummary', '')[:200]}" for node in violation["nodes"][:3]]
            found.append(f"{address}: {violation['id']}: {nodes}")
    assert found == []


def test_no_page_scrolls_sideways_on_a_phone(
    new_context: Callable[..., BrowserContext], site: Site, addresses: list[str]
) -> None:
    page = new_context(storage_state=site.session, viewport=PHONE, is_mobile=True, has_touch=True).new_page()
    wide = []
    for address in addresses:
        page.goto(site.address(address))
        if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
            wide.append(address)
    assert wide == []


def test_without_scripts_jobs_are_found_tried_again_in_bulk_and_settings_changed(
    new_context: Callable[..., BrowserContext], site: Site
) -> None:
    plain = new_context(storage_state=site.session, java_script_enabled=False).new_page()
    job = site.failed(record=4711)
    plain.goto(site.address(JOBS))
    plain.get_by_text("More filters").click()
    plain.get_by_label("Record").fill("4711")
    plain.get_by_role("button", name="Find").click()
    expect(plain.locator("#job-list tbody tr")).to_have_count(1)
    plain.get_by_label(f"Select job {job}").check()
    plain.get_by_role("button", name="Retry…").click()
    plain.get_by_role("button", name="Retry 1").click()
    expect(plain.get_by_role("status").first).to_contain_text("1 job tried again")
    site.rig.until_state(job, "in_error")
    plain.goto(site.address("/worker-manager/settings/finishing/"))
    plain.get_by_label("Grace time").fill("2")
    plain.get_by_role("button", name="Save").click()
    expect(plain.locator("#settings-finishing")).to_contain_text("changed")
    assert site.rig.store.settings("finishing").grace_s == 2
    plain.goto(site.address("/worker-manager/queues/finishing/"))
    plain.get_by_role("button", name="Pause").click()
    expect(plain.locator("#queue-state")).to_have_text("paused")
    plain.get_by_role("button", name="Resume").click()
