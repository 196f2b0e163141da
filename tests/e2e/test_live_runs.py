import re

import pytest
from acts import create, deploy, fail, get_stuck, succeed
from playwright.sync_api import Page, Route, expect
from running_dispatcher import Dispatcher
from scripted_host import ScriptedHost, ScriptedRun

PROBLEM = {"what": "the command failed", "why": "status 255", "mend": "Look at its output."}


@pytest.fixture
def instance(page: Page, dispatcher: Dispatcher, host: ScriptedHost, name: str) -> str:  # noqa: ARG001 the worker must be there
    return create(page, dispatcher, name, "Save as draft")


def press_deploy(page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str) -> ScriptedRun:
    page.goto(f"{dispatcher.url}/instances/{instance}/")
    page.locator("#instance-actions").get_by_role("button", name="Deploy").click()
    page.wait_for_url("**/runs/**")
    return host.take("deploy")


def test_a_deployment_is_watched_step_by_step_without_a_reload(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str, name: str
) -> None:
    run = press_deploy(page, dispatcher, host, instance)
    page.evaluate("window.sameDocument = true")
    run.begin()
    expect(page.locator("#run-steps > li")).to_have_count(11)
    run.step(0)
    expect(page.locator("#step-steps-0")).to_have_class("step fold-step done")
    run.say("intent", 1)
    expect(page.locator("#step-steps-1")).to_have_class("step fold-step open current")
    duration = page.locator("#step-steps-1 [data-since]")
    before = duration.inner_text()
    expect(duration).not_to_have_text(before)

    run.say("output", 1, line="first line")
    expect(page.locator("#output-steps-1")).to_have_text("first line\n")
    page.locator("#step-steps-0 summary").click()  # what a person opens stays open
    run.say("output", 1, line="second line")
    expect(page.locator("#output-steps-1")).to_contain_text("second line")
    expect(page.locator("#more-steps-0")).to_have_attribute("open", "")
    run.say("done", 1)
    for index in range(2, 10):
        run.step(index)
    run.commit()
    expect(page.locator("#run .badge")).to_have_text("done")
    expect(page).to_have_title(f"done: deploy {name} · Central Dispatch")
    expect(page.locator("#run-status")).to_have_text("The run is done.")
    expect(page.get_by_role("link", name="Open the portal")).to_have_attribute("href", f"https://{name}.localhost/")
    assert page.evaluate("window.sameDocument")


def test_a_failed_deployment_shows_its_error_and_the_back_out_last_first_and_is_retried(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    run = press_deploy(page, dispatcher, host, instance)
    page.evaluate("window.sameDocument = true")
    run.begin()
    for index in range(3):
        run.step(index)
    run.say("intent", 3)
    run.say("failed", 3, **PROBLEM)
    expect(page.locator("#run-notices")).to_contain_text("Look at its output.")
    run.undo(3)
    run.say("undo", 2)
    undoing = page.locator("#back-steps > li")
    expect(undoing.nth(1)).to_contain_text("is being undone")
    expect(undoing.nth(0)).to_contain_text("Database user")
    expect(undoing.nth(2)).to_contain_text("still to be undone")
    run.say("undone", 2, left="a directory that was not ours")
    run.undo(1)
    run.undo(0)
    run.say("end", ending="backed_out")
    expect(page.locator("#run .badge")).to_have_text("backed out")
    expect(page.locator("#run-notices")).to_contain_text("a directory that was not ours")
    assert page.evaluate("window.sameDocument")

    page.goto(f"{dispatcher.url}/instances/{instance}/")
    expect(page.locator("#instance-state")).to_have_text("in error")
    expect(page.locator("#instance .problem").first).to_contain_text("everything it had done was undone")
    page.locator("#instance-actions").get_by_role("button", name="Deploy again").click()
    page.wait_for_url("**/runs/**")
    succeed(host.take("deploy"))
    expect(page.locator("#run .badge")).to_have_text("done")


def test_a_run_under_way_is_backed_out_by_hand(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    run = press_deploy(page, dispatcher, host, instance)
    run.begin()
    run.step(0)
    page.get_by_role("button", name="Back out").click()
    expect(page.locator("#run-notices")).to_contain_text("Back-out asked for by admin")
    assert host.wish(run).verb == "back_out"
    run.say("back_out", -1, what="Backed out", why="by admin")
    run.undo(0)
    run.say("end", ending="backed_out")
    expect(page.locator("#run .badge")).to_have_text("backed out")


@pytest.mark.parametrize("verb", ["retry", "acknowledge"])
def test_a_stuck_run_lists_its_residue_and_takes_retry_or_acknowledgement(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str, verb: str
) -> None:
    run = press_deploy(page, dispatcher, host, instance)
    get_stuck(run)
    expect(page.locator("#stuck")).to_contain_text("Lock wait timeout exceeded")
    expect(page.locator("#stuck")).to_contain_text("Web root")
    if verb == "acknowledge":
        page.get_by_text("Acknowledge instead").click()
        page.get_by_role("button", name="Acknowledge the residue").click()
    else:
        page.get_by_role("button", name="Retry").click()
    expect(page.locator("#stuck")).to_contain_text("admin asked to")
    expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    assert host.wish(run).verb == verb


def test_a_waiting_run_says_what_it_waits_for(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    run = press_deploy(page, dispatcher, host, instance)
    run.begin()
    run.step(0)
    run.say("intent", 1)
    run.say("failed", 1, **PROBLEM)
    run.say("waiting", what="MariaDB does not answer", why="", mend="Start it.")
    expect(page.locator("#run-notices")).to_contain_text("MariaDB does not answer")
    run.undo(1)
    expect(page.locator("#run-notices")).not_to_contain_text("MariaDB does not answer")


def test_of_two_who_press_deploy_the_second_is_led_to_the_run_of_the_first(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    second = page.context.new_page()
    second.route(re.compile(r"/live\?"), lambda route: route.abort())  # an open page that has not heard of it yet
    second.goto(f"{dispatcher.url}/instances/{instance}/")
    run = press_deploy(page, dispatcher, host, instance)
    second.locator("#instance-actions").get_by_role("button", name="Deploy").click()
    second.wait_for_url(f"**/runs/{run.order.run}/")
    expect(second.get_by_role("alert")).to_contain_text("is under way")


def test_an_open_list_and_overview_follow_what_happens(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str, name: str
) -> None:
    overview = page.context.new_page()
    overview.goto(f"{dispatcher.url}/")
    page.goto(f"{dispatcher.url}/instances/?q={name}")
    worker = page.context.new_page()
    deploy(worker, dispatcher, host, instance, fail)
    page.bring_to_front()
    expect(page.locator("#instance-list")).to_contain_text("in error")
    expect(overview.locator(f"#failing-{instance}")).to_contain_text("exited with status 255")


def test_a_page_says_when_it_is_cut_off_and_goes_on_when_it_is_not(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    run = press_deploy(page, dispatcher, host, instance)
    run.begin()
    expect(page.locator("#run-steps > li")).to_have_count(11)
    page.context.set_offline(True)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#offline")).to_be_visible()
    page.context.set_offline(False)
    run.step(0)
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(page.locator("#step-steps-0")).to_have_class("step fold-step done")
    expect(page.locator("#offline")).to_be_hidden()


def test_hints_alone_keep_a_page_true(page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str) -> None:
    page.add_init_script("const every = setInterval; window.setInterval = (act, ms) => ms < 15000 && every(act, ms);")
    run = press_deploy(page, dispatcher, host, instance)
    run.begin()
    run.step(0)
    expect(page.locator("#step-steps-0")).to_have_class("step fold-step done")


def test_looks_alone_keep_a_page_true_when_no_hint_arrives(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    page.route(re.compile(r"/live\?"), lambda route: route.abort())
    page.clock.install()
    run = press_deploy(page, dispatcher, host, instance)
    run.begin()
    run.step(0)
    page.clock.run_for(15_500)
    expect(page.locator("#step-steps-0")).to_have_class("step fold-step done")


def test_what_is_selected_and_scrolled_stays_while_output_streams(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    run = press_deploy(page, dispatcher, host, instance)
    run.begin()
    run.say("intent", 0)
    for number in range(60):
        run.say("output", 0, line=f"line {number}")
    output = page.locator("#output-steps-0")
    expect(output).to_contain_text("line 59")
    at_end = "one => one.scrollHeight - one.scrollTop - one.clientHeight < 8"
    output.evaluate("one => { one.scrollTop = one.scrollHeight; }")
    run.say("output", 0, line="followed")
    expect(output).to_contain_text("followed")
    assert output.evaluate(at_end)
    output.evaluate(
        "one => { one.scrollTop = 40; getSelection().setBaseAndExtent(one.firstChild, 0, one.firstChild, 6); }"
    )
    run.say("output", 0, line="not followed")
    expect(output).to_contain_text("not followed")
    assert output.evaluate("one => one.scrollTop") == 40
    assert page.evaluate("String(getSelection())") == "line 0"


def test_what_changed_before_the_stream_opened_is_seen_as_it_opens(
    page: Page, dispatcher: Dispatcher, host: ScriptedHost, instance: str
) -> None:
    page.add_init_script("const every = setInterval; window.setInterval = (act, ms) => ms < 15000 && every(act, ms);")
    held: list[Route] = []
    page.route(re.compile(r"/live\?"), lambda route: held.append(route))  # noqa: PLW0108 Playwright takes no bound built-in
    run = press_deploy(page, dispatcher, host, instance)
    run.begin()
    run.step(0)
    while not held or run.order.run not in held[-1].request.url:
        page.wait_for_timeout(20)  # lets the held request arrive here; pytest's own time limit bounds it
    held[-1].continue_()
    expect(page.locator("#step-steps-0")).to_have_class("step fold-step done")
