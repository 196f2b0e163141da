import re
from collections.abc import Callable

from acts import sign_in
from playwright.sync_api import BrowserContext, Page, expect
from running_dispatcher import Dispatcher

from dispatchers.codes import code_of


def fill(page: Page, name: str, password: str) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_the_first_administrator_signs_in_with_the_password_of_the_first_start_and_out_again(
    dispatcher: Dispatcher, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context().new_page()
    page.goto(f"{dispatcher.url}/instances/")
    expect(page).to_have_url(re.compile("/login/"))
    sign_in(page, dispatcher)
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{dispatcher.url}/")
    expect(page).to_have_url(re.compile("/login/"))


def test_a_wrong_password_says_so_and_the_sixth_attempt_waits(
    dispatcher: Dispatcher, new_context: Callable[..., BrowserContext]
) -> None:
    page = new_context().new_page()
    page.goto(f"{dispatcher.url}/login/")
    fill(page, "nobody", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("wrong")
    expect(page.get_by_label("Username")).to_have_value("nobody")
    for _ in range(4):
        fill(page, "nobody", "wrong")
    expect(page.get_by_role("heading", name="Too many wrong passwords")).to_be_visible()


def test_a_password_is_changed_and_the_new_one_counts(
    dispatcher: Dispatcher, new_context: Callable[..., BrowserContext]
) -> None:
    dispatcher.add_person("changer", "viewer", "the first password 1")
    page = new_context().new_page()
    page.goto(f"{dispatcher.url}/login/")
    fill(page, "changer", "the first password 1")
    page.goto(f"{dispatcher.url}/account/")
    page.get_by_label("Old password").fill("wrong")
    page.get_by_label("New password", exact=True).fill("another password 2")
    page.get_by_label("New password confirmation").fill("another password 2")
    page.get_by_role("button", name="Change the password").click()
    expect(page.locator("#id_old_password-field .error")).to_be_visible()
    page.get_by_label("Old password").fill("the first password 1")
    page.get_by_label("New password", exact=True).fill("another password 2")
    page.get_by_label("New password confirmation").fill("another password 2")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_text("The password was changed")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    fill(page, "changer", "another password 2")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()


def test_a_second_factor_is_set_up_and_asked_for_and_a_recovery_code_stands_in(
    dispatcher: Dispatcher, new_context: Callable[..., BrowserContext]
) -> None:
    dispatcher.add_person("careful", "viewer", "a long enough password")
    page = new_context().new_page()
    page.goto(f"{dispatcher.url}/login/")
    fill(page, "careful", "a long enough password")
    page.goto(f"{dispatcher.url}/account/")
    page.get_by_role("link", name="Set up a second factor").click()
    expect(page.locator(".qr svg")).to_be_visible()
    secret = page.locator("section code").inner_text().replace(" ", "")
    page.get_by_role("textbox", name="Code").fill(code_of(secret)[0])
    page.get_by_role("button", name="Use it from now on").click()
    codes = page.locator("#codes").inner_text().split()
    assert len(codes) == 10
    page.get_by_role("link", name="They are kept").click()
    page.get_by_role("button", name="Sign out").click()
    fill(page, "careful", "a long enough password")
    expect(page.get_by_role("heading", name="Second factor")).to_be_visible()
    page.get_by_label("Code of your authenticator app").fill("000000")
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("alert")).to_contain_text("does not count")
    page.wait_for_timeout(1100)  # after a wrong code the next is looked at a second later
    page.get_by_label("Code of your authenticator app").fill(codes[0])
    page.get_by_role("button", name="Go on").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto(f"{dispatcher.url}/account/")
    expect(page.get_by_text("9 recovery codes left")).to_be_visible()
