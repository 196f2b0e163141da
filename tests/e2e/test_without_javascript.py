from collections.abc import Callable
from pathlib import Path

import pytest
from acts import fail, succeed
from playwright.sync_api import BrowserContext, Page, expect
from running_dispatcher import Dispatcher
from scripted_host import ScriptedHost


@pytest.fixture
def plain(new_context: Callable[..., BrowserContext], signed_in: Path) -> Page:
    """A browser that runs no scripts."""
    return new_context(storage_state=signed_in, java_script_enabled=False).new_page()


def test_an_instance_is_created_planned_deployed_and_deleted_by_plain_forms(
    plain: Page, dispatcher: Dispatcher, host: ScriptedHost, name: str
) -> None:
    plain.goto(f"{dispatcher.url}/instances/new/")
    plain.get_by_label("Source", exact=True).select_option("curator")
    plain.get_by_role("button", name="Show what this worker and source offer").click()
    expect(plain.get_by_label("Release", exact=True)).to_have_value("2.4.0")
    plain.get_by_label("Name", exact=True).fill(name)
    plain.get_by_role("button", name="Save and show the plan").click()
    expect(plain.locator("#id_admin_email-error")).to_be_visible()
    expect(plain.get_by_label("Name", exact=True)).to_have_value(name)
    plain.get_by_label("Administrator e-mail").fill("admin@example.com")
    plain.get_by_role("button", name="Save and show the plan").click()
    host.take("plan").plan()
    plain.reload()
    expect(plain.locator("#plan")).to_contain_text(f"/var/www/{name}")
    plain.get_by_role("button", name="Deploy").click()
    fail(host.take("deploy"))
    plain.reload()
    expect(plain.locator("#run .badge")).to_have_text("backed out")
    plain.get_by_role("button", name="Deploy again").click()
    succeed(host.take("deploy"))
    plain.reload()
    expect(plain.locator("#run .badge")).to_have_text("done")

    plain.goto(f"{dispatcher.url}/instances/?q={name}")
    plain.get_by_role("link", name=name, exact=True).click()
    plain.get_by_role("link", name="Delete…").click()
    plain.get_by_label("to confirm").fill(name)
    plain.get_by_role("button", name=f"Delete {name}").click()
    succeed(host.take("delete"))
    plain.reload()
    expect(plain.locator("#run .badge")).to_have_text("done")


def test_an_open_run_looks_again_by_itself(plain: Page, dispatcher: Dispatcher, host: ScriptedHost, name: str) -> None:
    plain.goto(f"{dispatcher.url}/instances/new/")
    plain.get_by_label("Name", exact=True).fill(name)
    plain.get_by_label("Administrator e-mail").fill("admin@example.com")
    plain.get_by_role("button", name="Save as draft").click()
    plain.get_by_role("button", name="Deploy").click()
    run = host.take("deploy")
    run.begin()
    run.step(0)
    expect(plain.locator("#step-steps-0")).to_contain_text("cd-")  # the page's own refresh, every 3 s
    plain.get_by_role("button", name="Back out").click()
    assert host.wish(run).verb == "back_out"


def test_a_worker_is_added_and_the_colours_are_chosen(plain: Page, dispatcher: Dispatcher, name: str) -> None:
    plain.goto(f"{dispatcher.url}/settings/central-dispatch/new/")
    plain.get_by_label("Worker name").fill(name)
    plain.get_by_role("button", name="Add the worker").click()
    expect(plain.locator("#token")).to_contain_text("cd1.")
    plain.goto(f"{dispatcher.url}/settings/")
    plain.get_by_role("button", name="Dark").click()
    expect(plain).to_have_url(f"{dispatcher.url}/settings/")
    expect(plain.locator("html")).to_have_attribute("data-theme", "dark")
