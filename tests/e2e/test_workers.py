from acts import add_worker
from playwright.sync_api import Page, expect
from running_dispatcher import Dispatcher
from scripted_host import ScriptedHost


def test_a_worker_is_added_with_prefilled_values_and_appears_online_while_the_page_waits(
    page: Page, dispatcher: Dispatcher, name: str
) -> None:
    page.goto(f"{dispatcher.url}/settings/")
    page.get_by_role("link", name="Central Dispatch Settings The workers").click()
    page.wait_for_url("**/settings/central-dispatch/")
    expect(page.get_by_role("heading", name="Central Dispatch Settings")).to_be_visible()
    page.keyboard.press("n")
    expect(page.get_by_label("Worker name")).to_have_value("localhost")
    expect(page.get_by_label("Host URL")).to_have_value("localhost")
    expect(page.get_by_label("Install path")).to_have_value("/var/www")
    page.get_by_label("Worker name").fill(name)
    page.get_by_role("button", name="Add the worker").click()

    command = page.locator("#command").inner_text()
    token = page.locator("#token").inner_text()
    assert command == f"central-dispatch worker host enroll --url {dispatcher.url}"
    assert token not in command
    expect(page.get_by_text("Waiting for the host to call")).to_be_visible()
    page.evaluate("window.sameDocument = true")
    host = ScriptedHost(dispatcher.url, "2" * 32)
    enrolled = host.enrol(token)
    expect(page.locator("#waiting")).to_contain_text(enrolled.fingerprint)
    host.start()
    expect(page.locator("#waiting")).to_contain_text("online")
    assert page.evaluate("window.sameDocument")

    page.get_by_role("link", name=f"Look at {name}").click()
    for text in ("Debian GNU/Linux 12", "Apache 2.4.71", "PHP 8.2.36", "MariaDB 10.11", "41.2 GB of 63.0 GB"):
        expect(page.locator("#worker")).to_contain_text(text)
    expect(page.locator("#worker")).to_contain_text("worker host configure")
    assert token not in page.content()


def test_a_bad_value_is_named_at_its_field_and_nothing_typed_is_lost(page: Page, dispatcher: Dispatcher) -> None:
    page.goto(f"{dispatcher.url}/settings/central-dispatch/new/")
    page.get_by_label("Worker name").fill("kept as typed")
    page.get_by_label("Install path").fill("relative")
    page.get_by_role("button", name="Add the worker").click()
    expect(page.locator("#id_install_path-error")).to_contain_text("absolute path")
    expect(page.locator("#form-errors")).to_contain_text("One thing")
    expect(page.get_by_label("Worker name")).to_have_value("kept as typed")
    expect(page.get_by_label("Install path")).to_have_attribute("aria-invalid", "true")


def test_defaults_are_changed_and_a_pattern_without_a_name_is_refused(
    page: Page, dispatcher: Dispatcher, name: str
) -> None:
    add_worker(page, dispatcher, name, "3" * 32)
    page.goto(f"{dispatcher.url}/settings/central-dispatch/")
    page.get_by_role("link", name=name, exact=True).click()
    page.get_by_role("link", name="Edit defaults").click()
    page.get_by_label("Default hostname pattern").fill("portal.example.com")
    page.get_by_label("Default administrator e-mail").fill("ops@example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#id_default_hostname_pattern-error")).to_contain_text("{name}")
    page.get_by_label("Default hostname pattern").fill("{name}.portals.example.com")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#worker")).to_contain_text("{name}.portals.example.com")
    expect(page.locator("#worker")).to_contain_text("ops@example.com")


def test_a_host_that_is_not_the_machine_it_was_is_held_back_until_accepted_and_can_be_revoked(
    page: Page, dispatcher: Dispatcher, name: str
) -> None:
    host = add_worker(page, dispatcher, name, "4" * 32)
    page.get_by_role("link", name=f"Look at {name}").click()
    host.machine_id = "5" * 32
    host.start()
    expect(page.get_by_role("alert")).to_contain_text("held back")
    page.get_by_role("button", name="Accept this host").click()
    expect(page.get_by_text("gets orders again")).to_be_visible()
    expect(page.locator("#worker [role=alert]")).to_have_count(0)

    page.get_by_role("link", name="Revoke…").click()
    page.get_by_label("to confirm").fill("something else")
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("#id_typed_name-error")).to_contain_text(name)
    page.get_by_label("to confirm").fill(name)
    page.get_by_role("button", name="Revoke").click()
    expect(page.locator("#worker-presence")).to_have_text("revoked")
