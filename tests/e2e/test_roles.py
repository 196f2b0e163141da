import re
from collections.abc import Callable

import pytest
from acts import create, deploy, fail, get_stuck
from playwright.sync_api import BrowserContext, Page, expect
from running_dispatcher import Dispatcher
from scripted_host import ScriptedHost


def signed_in_as(name: str, dispatcher: Dispatcher, context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto(f"{dispatcher.url}/login/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill("a long enough password")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{dispatcher.url}/")
    return page


@pytest.fixture
def failed(page: Page, dispatcher: Dispatcher, host: ScriptedHost, name: str) -> str:
    instance = create(page, dispatcher, name, "Save as draft")
    deploy(page, dispatcher, host, instance, fail)
    return instance


def test_a_viewer_reads_everything_and_finds_no_action(
    page: Page,
    dispatcher: Dispatcher,
    new_context: Callable[..., BrowserContext],
    failed: str,
    host: ScriptedHost,
    name: str,
) -> None:
    stuck = create(page, dispatcher, f"{name}-stuck", "Save as draft")
    stuck_run = deploy(page, dispatcher, host, stuck, get_stuck)
    viewer = signed_in_as("viewer", dispatcher, new_context())
    worker = viewer.locator("#overview").get_by_role("link", name="web-1").get_attribute("href")
    for address in (
        "/",
        "/instances/",
        f"/instances/{failed}/",
        f"/instances/{failed}/plan/",
        f"/runs/{stuck_run}/",
        "/settings/central-dispatch/",
        str(worker),
    ):
        answer = viewer.goto(dispatcher.url + address)
        assert answer is not None
        assert answer.status == 200, address
        expect(viewer.locator("main")).not_to_be_empty()
        # Filters only read; everything else that posts, or leads to a form, is left out.
        expect(viewer.locator("main form[method=post], main .button:not(.filters .button)")).to_have_count(0)
    expect(viewer.get_by_role("link", name="Audit")).to_have_count(0)


def test_the_server_refuses_a_viewer_whatever_the_page_shows(
    page: Page,  # noqa: ARG001 the administrator made what is asked for
    dispatcher: Dispatcher,
    new_context: Callable[..., BrowserContext],
    failed: str,
) -> None:
    viewer = signed_in_as("viewer", dispatcher, new_context())
    viewer.goto(f"{dispatcher.url}/account/")
    token = viewer.locator("input[name=csrfmiddlewaretoken]").first.input_value()
    for address in (
        f"/instances/{failed}/deploy/",
        f"/instances/{failed}/plan/",
        f"/instances/{failed}/delete/",
        f"/instances/{failed}/inventory/",
        f"/instances/{failed}/clear/",
        "/instances/new/",
        "/settings/central-dispatch/new/",
    ):
        answer = viewer.request.post(
            dispatcher.url + address,
            form={"csrfmiddlewaretoken": token, "typed_name": "x", "item": "database"},
            headers={"Referer": f"{dispatcher.url}/"},
        )
        assert answer.status == 403, address
    for address in ("/audit/", "/settings/central-dispatch/new/", "/instances/new/"):
        answer = viewer.goto(dispatcher.url + address)
        assert answer is not None
        assert answer.status == 403, address
    expect(viewer.get_by_role("heading", name="You may not do this")).to_be_visible()


def test_an_operator_deploys_but_does_not_look_after_workers(
    page: Page,  # noqa: ARG001 the administrator made what is asked for
    dispatcher: Dispatcher,
    new_context: Callable[..., BrowserContext],
    failed: str,
) -> None:
    operator = signed_in_as("operator", dispatcher, new_context())
    operator.goto(f"{dispatcher.url}/instances/{failed}/")
    expect(operator.get_by_role("button", name="Deploy again")).to_be_visible()
    operator.goto(f"{dispatcher.url}/settings/central-dispatch/")
    expect(operator.get_by_role("link", name="Add a worker")).to_have_count(0)
    operator.get_by_role("link", name="web-1", exact=True).click()
    expect(operator.get_by_role("link", name=re.compile("Revoke|Edit"))).to_have_count(0)
    expect(operator.get_by_role("link", name="New managed instance")).to_be_visible()
