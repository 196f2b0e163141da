import re
from collections.abc import Callable
from pathlib import Path

import pytest
from acts import PHONE, WIDE, create, deploy, fail, get_stuck, page_id
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, Page, expect
from running_dispatcher import Dispatcher
from scripted_host import ScriptedHost

AXE_OPTIONS = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
}


@pytest.fixture(scope="module")
def addresses(dispatcher: Dispatcher, host: ScriptedHost, chromium: object, signed_in: Path) -> list[str]:
    """Every kind of page, with something on it."""
    context = chromium.new_context(ignore_https_errors=True, storage_state=signed_in, viewport=WIDE)  # type: ignore[attr-defined] # a Browser
    page = context.new_page()
    failed = create(page, dispatcher, "an-unusually-long-name-abc", "Save as draft")
    failed_run = deploy(page, dispatcher, host, failed, fail)
    stuck = deploy(page, dispatcher, host, create(page, dispatcher, "stuck-one", "Save as draft"), get_stuck)
    planned = create(page, dispatcher, "planned-one")
    host.take("plan").plan({"what": "taken", "why": "by somebody else", "mend": "Choose another.", "field": "web_root"})
    worker = page_id(page, dispatcher, "web-1")
    context.close()
    return [
        "/",
        "/instances/",
        "/instances/?q=nothing-fits",
        "/instances/new/",
        f"/instances/{failed}/",
        f"/instances/{failed}/edit/",
        f"/instances/{failed}/delete/",
        f"/instances/{failed}/inventory/",
        f"/instances/{planned}/plan/",
        "/runs/",
        f"/runs/{failed_run}/",
        f"/runs/{stuck}/",
        "/settings/",
        "/settings/central-dispatch/",
        f"/settings/central-dispatch/{worker}/",
        f"/settings/central-dispatch/{worker}/edit/",
        f"/settings/central-dispatch/{worker}/revoke/",
        "/settings/central-dispatch/new/",
        "/audit/",
        "/account/",
        "/account/confirm/",
        "/account/second-factor/",
        "/settings/rules/",
        "/users/",
        "/users/new/",
        "/users/1/",
        "/users/1/edit/",
        "/users/1/remove/",
        "/tokens/",
        "/tokens/new/",
        "/nothing-here/",
    ]


@pytest.mark.parametrize(("scheme", "size"), [("light", WIDE), ("dark", WIDE), ("light", PHONE)])
def test_every_page_passes_axe(
    new_context: Callable[..., BrowserContext],
    signed_in: Path,
    dispatcher: Dispatcher,
    addresses: list[str],
    scheme: str,
    size: dict[str, int],
) -> None:
    page = new_context(storage_state=signed_in, color_scheme=scheme, viewport=size).new_page()
    found = []
    for address in addresses:
        page.goto(dispatcher.url + address)
        for violation in Axe().run(page, options=AXE_OPTIONS).response["violations"]:
            nodes = [f"{node['html'][:160]} {node.get('failureSummary', '')[:200]}" for node in violation["nodes"][:3]]
            found.append(f"{address}: {violation['id']}: {nodes}")
    assert found == []


def test_the_signed_out_page_passes_axe(new_context: Callable[..., BrowserContext], dispatcher: Dispatcher) -> None:
    page = new_context().new_page()
    page.goto(f"{dispatcher.url}/login/")
    assert Axe().run(page, options=AXE_OPTIONS).response["violations"] == []


def test_no_page_scrolls_sideways_on_a_phone(
    new_context: Callable[..., BrowserContext], signed_in: Path, dispatcher: Dispatcher, addresses: list[str]
) -> None:
    page = new_context(storage_state=signed_in, viewport=PHONE, is_mobile=True, has_touch=True).new_page()
    wide = []
    for address in ["/login/", *addresses]:
        page.goto(dispatcher.url + address)
        if page.evaluate("document.documentElement.scrollWidth") > PHONE["width"]:
            wide.append(address)
    assert wide == []


def test_the_menu_opens_on_a_phone(
    new_context: Callable[..., BrowserContext], signed_in: Path, dispatcher: Dispatcher
) -> None:
    page = new_context(storage_state=signed_in, viewport=PHONE).new_page()
    page.goto(f"{dispatcher.url}/")
    link = page.get_by_role("navigation", name="Main").get_by_role("link", name="Managed Instances")
    expect(link).to_be_hidden()
    page.get_by_text("Menu").click()
    link.click()
    expect(page).to_have_url(f"{dispatcher.url}/instances/")


def background(page: Page) -> str:
    return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))


def test_colours_follow_the_machine_until_a_person_chooses(
    new_context: Callable[..., BrowserContext], signed_in: Path, dispatcher: Dispatcher
) -> None:
    context = new_context(storage_state=signed_in, color_scheme="dark")
    page = context.new_page()
    page.goto(f"{dispatcher.url}/")
    dark = background(page)
    page.get_by_role("button", name="Light").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    light = background(page)
    assert light != dark
    page.wait_for_load_state("networkidle")
    page.reload()
    assert background(page) == light
    page.get_by_role("button", name="Auto").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "auto")
    assert background(page) == dark


def test_the_keyboard_leads_everywhere_and_can_be_switched_off(
    page: Page, dispatcher: Dispatcher, addresses: list[str]
) -> None:
    assert addresses
    page.goto(f"{dispatcher.url}/")
    page.keyboard.press("g")
    page.keyboard.press("i")
    expect(page).to_have_url(f"{dispatcher.url}/instances/")
    page.keyboard.press("j")
    expect(page.locator("[data-row]").first).to_be_focused()
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/instances/[0-9a-f]{32}/"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.get_by_label("Shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_no_page_needs_anything_inline_or_from_elsewhere(
    new_context: Callable[..., BrowserContext], signed_in: Path, dispatcher: Dispatcher, addresses: list[str]
) -> None:
    page = new_context(storage_state=signed_in).new_page()
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "console", lambda message: refused.append(message.text) if "Content Security Policy" in message.text else None
    )
    for address in addresses:
        page.goto(dispatcher.url + address)
        assert page.locator("[style], style, script:not([src])").count() == 0, address
    assert [url for url in asked if not url.startswith(dispatcher.url)] == []
    assert refused == []
