from pathlib import Path

import pytest
from acts import create, deploy, sign_in, succeed
from playwright.sync_api import Page, expect
from running_dispatcher import Dispatcher
from scripted_host import ScriptedHost

pytestmark = pytest.mark.usefixtures("host")
FOREIGN = {"what": "the directory is there already", "why": "it bears no mark", "mend": "Choose another web root."}


def test_a_name_fills_the_fields_after_it_until_a_person_writes_into_one(page: Page, dispatcher: Dispatcher) -> None:
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Name", exact=True).press_sequentially("acme-press")
    expect(page.get_by_label("Web root")).to_have_value("acme-press")
    expect(page.get_by_label("Database", exact=True)).to_have_value("acme_press")
    expect(page.get_by_label("Database user")).to_have_value("acme_press")
    expect(page.get_by_label("Hostnames")).to_have_value("acme-press.localhost")
    page.get_by_label("Database", exact=True).fill("mine")
    page.get_by_label("Name", exact=True).press("End")
    page.get_by_label("Name", exact=True).press_sequentially("-two")
    expect(page.get_by_label("Database", exact=True)).to_have_value("mine")
    expect(page.get_by_label("Web root")).to_have_value("acme-press-two")


def test_a_source_decides_which_releases_are_offered_newest_first(page: Page, dispatcher: Dispatcher) -> None:
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Worker", exact=True).select_option(label="web-1")
    page.get_by_label("Source", exact=True).select_option("wordpress")
    expect(page.get_by_label("Release", exact=True).locator("option")).to_have_text(["6.10.0", "6.2.1", "6.1.9"])
    page.get_by_label("Name", exact=True).fill("typed-before")
    page.get_by_label("Source", exact=True).select_option("curator")
    expect(page.get_by_label("Release", exact=True).locator("option")).to_have_text(["2.4.0"])
    expect(page.get_by_label("Name", exact=True)).to_have_value("typed-before")
    expect(page.get_by_label("Source", exact=True).locator("option")).not_to_contain_text(["Old shop"])
    expect(page.get_by_text("The source old-shop cannot be used: has no portal.toml")).to_be_visible()


def test_every_error_stands_at_its_field_and_nothing_typed_is_lost(
    page: Page, dispatcher: Dispatcher, tmp_path: Path
) -> None:
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\nnot one\n-----END PRIVATE KEY-----\n")
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Name", exact=True).fill("Bad Name")
    page.get_by_label("Hostnames").fill("not a hostname!")
    page.get_by_label("Administrator e-mail").fill("nobody")
    page.get_by_label("An own certificate").check()
    page.get_by_label("Certificate (PEM)", exact=True).fill("no certificate")
    page.get_by_label("Private key (PEM, without a passphrase): choose a file").set_input_files(key)
    expect(page.get_by_label("Private key (PEM, without a passphrase)", exact=True)).to_have_value(key.read_text())
    page.get_by_role("button", name="Save as draft").click()
    for field in ("name", "hostnames", "admin_email"):
        expect(page.locator(f"#id_{field}-error")).to_be_visible()
    # What followed from the bad name is not blamed as well.
    expect(page.locator("#id_web_root-error, #id_database-error, #id_database_user-error")).to_have_count(0)
    expect(page.locator("#form-errors")).to_be_focused()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Bad Name")
    expect(page.get_by_label("Private key (PEM, without a passphrase)", exact=True)).to_have_value(key.read_text())
    page.get_by_label("Name", exact=True).fill("good-name")
    page.get_by_label("Hostnames").fill("good-name.localhost")
    page.get_by_label("Administrator e-mail").fill("somebody@example.com")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#id_name-error")).to_have_count(0)
    expect(page.locator("#id_certificate-error, #id_key-error").first).to_be_visible()
    assert "not one" not in page.content()  # the key was never sent back


def test_a_hostname_that_the_default_certificate_does_not_cover_is_said_at_the_choice(
    page: Page, dispatcher: Dispatcher, name: str
) -> None:
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Hostnames").fill("portal.example.com")
    page.get_by_label("Administrator e-mail").fill("a@example.com")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#id_own_certificate-error")).to_contain_text("does not cover portal.example.com")


def test_the_plan_is_shown_before_anything_is_done_with_its_problems_first(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, name: str
) -> None:
    instance = create(page, dispatcher, name)
    expect(page.locator("#plan-status")).to_contain_text("Nothing is done yet")
    expect(page.get_by_role("button", name="Deploy")).to_have_count(0)
    host.take("plan").plan({**FOREIGN, "field": "web_root"})
    expect(page.locator("#plan .problem")).to_contain_text(FOREIGN["mend"])
    expect(page.get_by_role("button", name="Deploy")).to_have_count(0)
    page.get_by_role("button", name="Look again").click()
    host.take("plan").plan()
    expect(page.locator("#plan .problem")).to_have_count(0)
    expect(page.locator("#plan")).to_contain_text(f"/etc/apache2/sites-available/{name}.conf")
    vhost = page.locator("#plan-steps-7")
    expect(vhost.locator("pre")).to_be_hidden()
    vhost.get_by_text("Text of the file").click()
    expect(vhost.locator("pre")).to_contain_text(f"ServerName {name}.localhost")
    page.get_by_role("button", name="Deploy").click()
    run = host.take("deploy")
    assert run.order.spec.id == instance
    succeed(run)


def test_the_list_is_searched_and_filtered_as_one_types(page: Page, dispatcher: Dispatcher) -> None:
    create(page, dispatcher, "findable-one", "Save as draft")
    create(page, dispatcher, "findable-two", "Save as draft")
    page.goto(f"{dispatcher.url}/instances/")
    page.keyboard.press("/")
    page.keyboard.type("findable-t")
    rows = page.locator("#instance-list tbody tr")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("findable-two")
    expect(page).to_have_url(f"{dispatcher.url}/instances/?q=findable-t&state=&worker=")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.get_by_label("State").select_option("active")
    expect(page.get_by_role("heading", name="Nothing fits")).to_be_visible()


def test_a_deployed_instance_is_deleted_only_when_its_name_is_typed(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, name: str
) -> None:
    instance = create(page, dispatcher, name, "Save as draft")
    deploy(page, dispatcher, host, instance, succeed)
    page.goto(f"{dispatcher.url}/instances/{instance}/")
    page.get_by_role("link", name="Delete…").click()
    expect(page.get_by_text("/var/backups/central-dispatch")).to_be_visible()
    page.get_by_label("to confirm").fill("wrong")
    page.get_by_role("button", name=f"Delete {name}").click()
    expect(page.locator("#id_typed_name-error")).to_contain_text(name)
    page.get_by_label("to confirm").fill(name)
    page.get_by_role("button", name=f"Delete {name}").click()
    page.wait_for_url("**/runs/**")
    succeed(host.take("delete"))
    expect(page.locator("#run .badge")).to_have_text("done")
    page.goto(f"{dispatcher.url}/instances/{instance}/")
    expect(page.locator("#instance-state")).to_have_text("deleted")
    expect(page.locator("#instance-actions .button")).to_have_count(0)


def test_an_inventory_clears_only_what_is_ticked_and_confirmed(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, name: str
) -> None:
    instance = create(page, dispatcher, name, "Save as draft")
    page.goto(f"{dispatcher.url}/instances/{instance}/inventory/")
    page.get_by_role("button", name="Take an inventory").click()
    items = [
        {"key": "database", "what": "Database x, 12 tables", "whose": "committed"},
        {"key": "system_user", "what": "User cd-x", "whose": "ours"},
        {"key": "vhost", "what": "Virtual host x.conf", "whose": "foreign"},
    ]
    host.take("inventory").say("found", items=items)
    expect(page.get_by_role("checkbox")).to_have_count(2)  # not the foreign one
    page.get_by_label("Clear: Database x").check()
    page.get_by_role("button", name="Clear what is ticked").click()
    expect(page.locator("#clear-error")).to_contain_text(name)
    expect(page.get_by_label("Clear: Database x")).to_be_checked()
    page.get_by_label("Clear: Database x").check()
    page.locator("#typed_name").fill(name)
    page.get_by_role("button", name="Clear what is ticked").click()
    page.wait_for_url("**/runs/**")
    assert host.take("clear").order.items == ("database",)


def test_a_form_survives_a_session_that_ended_while_it_was_filled_in(
    page: Page, dispatcher: Dispatcher, signed_in: Path, name: str
) -> None:
    page.goto(f"{dispatcher.url}/instances/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Administrator e-mail").fill("a@example.com")
    page.context.clear_cookies()
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#unsent")).to_contain_text("You are signed out")
    other = page.context.new_page()
    sign_in(other, dispatcher)
    page.get_by_role("button", name="Save as draft").click()
    expect(page.locator("#unsent")).to_contain_text("once more")
    page.get_by_role("button", name="Save as draft").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    page.context.storage_state(path=signed_in)  # the session before it may be gone
