"""The host worker's loop against a scripted dispatcher and a small host."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from central_dispatch.host import identity, worker
from central_dispatch.host.dispatcher_client import Away, Superseded
from central_dispatch.host.journal_file import Begin, JournalFile, Writing
from central_dispatch.host.reserve import Reserve
from central_dispatch.host.runs import RUNS_AT_ONCE
from central_dispatch.host.worker import SUPERSEDED, UNREACHABLE
from central_dispatch.provisioning.journal import Kind
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import Claim, Claimed
from servers.host_world import Site, broken, down, hex_id, order, plan_of

DEPLOYED = ["begin", "intent", "output", "done", "intent", "output", "done", "commit", "end"]


def left_journal(
    site: Site,
    number: int,
    *lines: tuple[Kind, int],
    machine: str = "",
    instance: int | None = None,
    things: tuple[str, ...] = ("one", "two"),
) -> None:
    """Leave what a killed host worker leaves: a run with these lines and no end."""
    given = order(number, instance=instance)
    directory = site.state / "journal"
    directory.mkdir(exist_ok=True)
    plan = plan_of(given.spec.name, given.spec.id, *things)
    begin = Begin(given.run, machine or identity.machine_id(site.state), 1, plan)
    journal = JournalFile.create(directory / f"{given.run}.jsonl", begin, Writing(Reserve(site.state / "reserve")))
    for kind, step in lines:
        journal.append(kind, step)
    journal.close()


def mark(number: int) -> str:
    return f"central-dispatch instance={order(number).spec.id} run={hex_id(number)}"


class Gate:
    """Holds a step until the test opens it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self) -> None:
        self.reached.set()
        assert self.opened.wait(20)


def test_an_order_is_carried_out_and_every_journal_line_reported_in_order(site: Site) -> None:
    site.dispatcher.give(order(1))
    site.start()
    assert site.dispatcher.await_kind(1, "end") == DEPLOYED
    events = site.dispatcher.events[hex_id(1)]
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert events[-1].data == {"ending": "committed"}
    assert [step["title"] for step in events[0].data["steps"]] == ["Thing site1-1", "Thing site1-2"]


def test_secrets_are_in_the_vault_before_the_journal_begins_and_never_reported(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = site.state / "vault" / f"{order(1).spec.id}.json"
    seen: list[str] = []
    real = JournalFile.create

    def create(*given: Any) -> JournalFile:
        seen.append(json.loads(vault.read_text())["database_password"])
        return real(*given)

    monkeypatch.setattr(JournalFile, "create", create)
    site.world.hooks["do", "site1-2"] = lambda: tell(seen[0])

    def tell(secret: str) -> None:
        raise HostError(Problem(f"the server does not take {secret}", secret))

    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "end")
    assert len(seen) == 1
    assert seen[0] not in str(site.dispatcher.events)
    assert seen[0].encode() not in b"".join(path.read_bytes() for path in (site.state / "journal").glob("*.*"))


def test_a_failed_step_backs_the_run_out(site: Site) -> None:
    site.world.hooks["do", "site1-2"] = broken
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "end")
    assert site.dispatcher.events[hex_id(1)][-1].data == {"ending": "backed_out"}
    assert site.world.things == {}


def test_a_bug_in_a_step_backs_the_run_out_and_says_so(site: Site) -> None:
    def bug() -> None:
        raise KeyError("surprise")

    site.world.hooks["do", "site1-2"] = bug
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "end")
    failed = [event for event in site.dispatcher.events[hex_id(1)] if event.kind == "failed"]
    assert "surprise" in failed[0].data["why"]
    assert site.world.things == {}


def test_a_bug_in_an_undo_leaves_the_run_stuck_not_silent(site: Site) -> None:
    def bug() -> None:
        raise KeyError("surprise")

    site.world.hooks["do", "site1-2"] = broken
    site.world.hooks["clear", "site1-1"] = bug
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "stuck")
    assert "site1-1" in site.world.things


def test_the_same_order_sent_twice_is_carried_out_once(site: Site) -> None:
    site.dispatcher.give(order(1))
    assert site.once().code == 0
    site.dispatcher.give(order(1))
    assert site.once().code == 0
    assert site.dispatcher.kinds(1) == DEPLOYED


def test_a_refused_plan_is_reported_with_all_its_problems(site: Site) -> None:
    site.machine.problems["site1"] = [Problem("first", field="hostnames"), Problem("second")]
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "refused")
    (event,) = site.dispatcher.events[hex_id(1)]
    assert [problem["what"] for problem in event.data["problems"]] == ["first", "second"]
    assert not list((site.state / "journal").glob("*.jsonl"))


def test_a_planner_with_a_bug_refuses_the_order(site: Site) -> None:
    def bug() -> None:
        raise ZeroDivisionError("oops")

    site.world.hooks["plan", "site1"] = bug
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "refused")


def test_plan_and_inventory_answer_without_a_journal(site: Site) -> None:
    site.world.things["old"] = "somebody's"
    site.dispatcher.give(order(1, "plan"), order(2, "inventory"))
    site.start()
    site.dispatcher.await_kind(1, "planned")
    site.dispatcher.await_kind(2, "found")
    assert [step["title"] for step in site.dispatcher.events[hex_id(1)][0].data["steps"]] == [
        "Thing site1-1",
        "Thing site1-2",
    ]
    assert site.dispatcher.events[hex_id(2)][0].data["items"][0]["key"] == "old"
    assert site.world.things == {"old": "somebody's"}


def test_what_a_killed_worker_left_is_backed_out_while_the_dispatcher_is_away(site: Site) -> None:
    left_journal(site, 1, ("intent", 0), ("done", 0), ("intent", 1))
    site.world.things = {"one": mark(1), "two": mark(1), "neighbour": "somebody's"}
    gone = threading.Event()
    site.world.hooks["clear", "one"] = gone.set
    site.dispatcher.set_away(True)
    site.start()
    assert gone.wait(20)
    site.dispatcher.set_away(False)
    site.dispatcher.await_kind(1, "end")
    assert site.world.things == {"neighbour": "somebody's"}


def test_no_new_order_begins_before_every_left_run_had_its_turn(site: Site) -> None:
    left_journal(site, 1, ("intent", 0))
    site.world.things = {"one": mark(1)}
    gate = Gate()
    began = threading.Event()
    site.world.hooks["clear", "one"] = gate
    site.world.hooks["plan", "site2"] = began.set
    site.dispatcher.give(order(2))
    site.start()
    assert gate.reached.wait(20)
    site.dispatcher.await_that(lambda: any(hex_id(2) in claim.known for claim in site.dispatcher.claims))
    assert not began.is_set()
    gate.opened.set()
    site.dispatcher.await_kind(2, "end")


def test_a_recovery_waits_for_a_server_that_is_down_and_goes_on_when_it_is_up(site: Site) -> None:
    left_journal(site, 1, ("intent", 0))
    site.world.things = {"one": mark(1)}
    site.world.hooks["clear", "one"] = down
    site.start()
    site.dispatcher.await_kind(1, "waiting")
    site.dispatcher.await_that(lambda: any("waits" in str(beat.facts.problems) for beat in site.dispatcher.beats))
    assert "one" in site.world.things
    del site.world.hooks["clear", "one"]
    kinds = site.dispatcher.await_kind(1, "end")
    # However often it was tried again, the journal says it once.
    assert kinds.count("waiting") == 1
    assert site.world.things == {}


def test_a_run_of_another_machine_is_not_touched_until_acknowledged(site: Site) -> None:
    left_journal(site, 1, ("intent", 0), ("done", 0), machine="e" * 32)
    site.world.things = {"one": mark(1)}
    site.start()
    site.dispatcher.await_kind(1, "stuck")
    assert site.world.things == {"one": mark(1)}
    wish_until(site, "acknowledge", 1, "end")
    assert site.world.things == {"one": mark(1)}


def test_a_run_of_another_machine_goes_on_when_an_administrator_says_it_is_the_same(site: Site) -> None:
    left_journal(site, 1, ("intent", 0), ("done", 0), machine="e" * 32)
    site.world.things = {"one": mark(1)}
    site.start()
    site.dispatcher.await_kind(1, "stuck")
    wish_until(site, "retry", 1, "end")
    assert site.world.things == {}


def wish_until(site: Site, verb: str, number: int, kind: str) -> None:
    """Repeat a wish as the dispatcher does, until its event is reported."""
    done: Callable[[], bool] = lambda: kind in site.dispatcher.kinds(number)  # noqa: E731 typed for mypy
    while not done():
        before = len(site.dispatcher.claims)
        site.dispatcher.wish(verb, number)
        site.dispatcher.await_that(lambda before=before: done() or len(site.dispatcher.claims) > before)  # type: ignore[misc]


def test_a_stuck_run_is_tried_again_on_wish(site: Site) -> None:
    site.world.hooks["do", "site1-2"] = broken
    site.world.hooks["clear", "site1-1"] = broken
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "stuck")
    del site.world.hooks["clear", "site1-1"]
    wish_until(site, "retry", 1, "end")
    assert site.world.things == {}


def await_next_claim(site: Site) -> None:
    """Return when the claim after the one that fetched the last wish has begun: that wish was heeded or passed over."""
    site.dispatcher.await_that(lambda: 0 < site.dispatcher.wishes_went_at < len(site.dispatcher.claims))


def test_a_repeated_acknowledgement_does_not_take_over_an_item_that_nobody_has_seen(site: Site) -> None:
    gate = Gate()

    def held_then_broken() -> None:
        gate()
        broken()

    site.machine.plans["site1"] = ("a", "b", "c")
    site.world.hooks |= {("do", "c"): broken, ("clear", "b"): broken, ("clear", "a"): held_then_broken}
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "stuck")
    wish_until(site, "acknowledge", 1, "acknowledged")
    assert gate.reached.wait(20)
    # A claim that begins now knows nothing of the second item; the repeated wish comes with its answer.
    site.dispatcher.wish("back_out", 99)
    await_next_claim(site)
    gate.opened.set()
    site.dispatcher.await_that(lambda: site.dispatcher.kinds(1).count("stuck") == 2)
    site.dispatcher.wish("acknowledge", 1)
    await_next_claim(site)
    del site.world.hooks["clear", "a"]
    wish_until(site, "retry", 1, "end")
    assert site.dispatcher.kinds(1).count("acknowledged") == 1
    assert set(site.world.things) == {"b"}


def test_a_run_under_way_is_backed_out_at_the_next_step_boundary_on_wish(site: Site) -> None:
    gate = Gate()
    site.world.hooks["do", "site1-1"] = gate
    site.dispatcher.give(order(1))
    site.start()
    assert gate.reached.wait(20)
    site.dispatcher.wish("back_out", 1)
    await_next_claim(site)
    gate.opened.set()
    kinds = site.dispatcher.await_kind(1, "end")
    assert kinds == ["begin", "intent", "output", "done", "back_out", "undo", "undone", "end"]
    assert site.world.things == {}


def test_an_order_that_has_not_begun_is_withdrawn_on_wish(site: Site) -> None:
    gate = Gate()
    site.world.hooks["do", "site1-1"] = gate
    site.dispatcher.give(order(1), order(2, instance=1))
    site.start()
    assert gate.reached.wait(20)
    site.dispatcher.wish("back_out", 2)
    assert site.dispatcher.await_kind(2, "refused") == ["refused"]
    gate.opened.set()
    site.dispatcher.await_kind(1, "end")


def test_two_runs_of_one_instance_follow_each_other_and_other_instances_do_not_wait(site: Site) -> None:
    gate = Gate()
    site.world.hooks["do", "site1-1"] = gate
    site.machine.plans["second"] = ("second-1",)
    site.dispatcher.give(order(1), order(2, name="second", instance=1), order(3))
    site.start()
    assert gate.reached.wait(20)
    site.dispatcher.await_kind(3, "end")
    assert "second-1" not in site.world.things
    gate.opened.set()
    site.dispatcher.await_kind(2, "end")


def test_at_most_four_runs_change_the_host_at_once(site: Site) -> None:
    gates = {number: Gate() for number in range(1, 7)}
    for number, gate in gates.items():
        site.world.hooks["do", f"site{number}-1"] = gate
    site.dispatcher.give(*(order(number) for number in gates))
    site.start()
    site.dispatcher.await_that(lambda: len(site.dispatcher.events) == RUNS_AT_ONCE)
    site.dispatcher.await_that(lambda: any(len(claim.known) == len(gates) for claim in site.dispatcher.claims))
    begun = [gate for number, gate in gates.items() if hex_id(number) in site.dispatcher.events]
    assert all(gate.reached.wait(20) for gate in begun)
    assert sum(gate.reached.is_set() for gate in gates.values()) == RUNS_AT_ONCE
    for gate in gates.values():
        gate.opened.set()
    site.dispatcher.await_that(lambda: all("end" in site.dispatcher.kinds(number) for number in gates))


def test_a_run_goes_on_while_the_dispatcher_is_away_and_is_reported_later(site: Site) -> None:
    gate = Gate()
    last = threading.Event()
    site.world.hooks["do", "site1-1"] = gate
    site.world.hooks["do", "site1-2"] = last.set
    site.dispatcher.give(order(1))
    site.start()
    assert gate.reached.wait(20)
    site.dispatcher.set_away(True)
    gate.opened.set()
    assert last.wait(20)
    site.dispatcher.set_away(False)
    assert site.dispatcher.await_kind(1, "end") == DEPLOYED


def test_a_second_session_stops_the_host_worker(site: Site) -> None:
    site.start()
    site.dispatcher.await_that(lambda: bool(site.dispatcher.claims))
    with site.dispatcher.changed:
        site.dispatcher.failure = Superseded(Problem("A newer session has replaced this one"))
        site.dispatcher.changed.notify_all()
    site.running[0][0].join(20)
    assert site.ended[0].code == SUPERSEDED


def test_an_alert_holds_new_runs_back_until_it_is_cleared(site: Site) -> None:
    seen: list[str] = []
    site.world.hooks["plan", "site1"] = lambda: seen.append(site.dispatcher.alert)
    site.dispatcher.alert = "another machine id"
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_that(lambda: any(hex_id(1) in claim.known for claim in site.dispatcher.claims))
    beats = len(site.dispatcher.beats)
    site.dispatcher.await_that(lambda: len(site.dispatcher.beats) > beats + 2)
    site.dispatcher.alert = ""
    site.dispatcher.await_kind(1, "end")
    assert seen == [""]


def test_a_stop_lets_the_run_under_way_finish_and_begins_no_other(site: Site) -> None:
    gate = Gate()
    site.world.hooks["do", "site1-1"] = gate
    site.dispatcher.give(order(1))
    stop = site.start()
    assert gate.reached.wait(20)
    stop.set()
    site.dispatcher.give(order(2))
    gate.opened.set()
    site.stop()
    assert site.ended[0].code == 0
    assert site.dispatcher.kinds(1) == DEPLOYED
    assert site.dispatcher.kinds(2) == []


def test_once_carries_out_what_there_is_reports_it_and_ends(site: Site) -> None:
    left_journal(site, 1, ("intent", 0))
    site.world.things = {"one": mark(1)}
    site.dispatcher.give(order(2), order(3, "plan"))
    assert site.once().code == 0
    assert site.dispatcher.kinds(1)[-1] == "end"
    assert site.dispatcher.kinds(2) == DEPLOYED
    assert site.dispatcher.kinds(3) == ["planned"]


def test_once_recovers_also_while_the_dispatcher_is_away_and_says_so(site: Site) -> None:
    left_journal(site, 1, ("intent", 0))
    site.world.things = {"one": mark(1)}
    site.dispatcher.set_away(True)
    ended = site.once()
    assert ended.code == UNREACHABLE
    assert site.world.things == {}
    site.dispatcher.set_away(False)
    assert site.once().code == 0
    assert site.dispatcher.kinds(1)[-1] == "end"


def test_once_carries_a_long_run_to_its_end_though_the_dispatcher_went_away(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "_ONCE_CLAIM_S", 0.0)
    refused = threading.Event()
    real = site.dispatcher.claim

    def claim(message: Claim) -> Claimed:
        try:
            return real(message)
        except Away:
            refused.set()
            raise

    def away() -> None:
        site.dispatcher.set_away(True)
        assert refused.wait(20)

    monkeypatch.setattr(site.dispatcher, "claim", claim)
    site.world.hooks["do", "site1-1"] = away
    site.dispatcher.give(order(1))
    site.once()
    assert set(site.world.things) == {"site1-1", "site1-2"}


def test_two_left_runs_of_one_instance_never_run_at_once(site: Site) -> None:
    gate = Gate()
    for number, thing in ((1, "one"), (2, "two")):
        left_journal(site, number, ("intent", 0), instance=1, things=(thing,))
        site.world.things[thing] = f"central-dispatch instance={order(1).spec.id} run={hex_id(number)}"
    site.world.hooks["clear", "one"] = gate
    site.dispatcher.give(order(3))
    site.start()
    assert gate.reached.wait(20)
    beats = len(site.dispatcher.beats)
    site.dispatcher.await_that(lambda: len(site.dispatcher.beats) > beats + 2)
    assert "two" in site.world.things
    gate.opened.set()
    site.dispatcher.await_kind(2, "end")
    assert not {"one", "two"} & set(site.world.things)


def test_a_damaged_journal_is_left_alone_and_reported(site: Site) -> None:
    left_journal(site, 1, ("intent", 0), ("done", 0))
    path = site.state / "journal" / f"{hex_id(1)}.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"0000" + lines[1][4:] + lines[2])
    before = path.read_bytes()
    site.world.things = {"one": mark(1)}
    site.start()
    site.dispatcher.await_that(lambda: any("damaged" in str(beat.facts.problems) for beat in site.dispatcher.beats))
    assert site.world.things == {"one": mark(1)}
    assert path.read_bytes() == before


def test_a_dispatcher_that_never_heard_of_a_run_does_not_hold_up_the_others(site: Site) -> None:
    left_journal(site, 1, ("intent", 0))
    site.dispatcher.unknown = {hex_id(1)}
    site.dispatcher.give(order(2))
    site.start()
    site.dispatcher.await_kind(2, "end")


def test_a_dispatcher_restored_from_a_copy_is_told_again(site: Site) -> None:
    gate = Gate()
    site.world.hooks["do", "site1-2"] = gate
    site.dispatcher.give(order(1))
    site.start()
    assert gate.reached.wait(20)
    site.dispatcher.await_that(lambda: len(site.dispatcher.kinds(1)) >= 5)
    with site.dispatcher.changed:
        del site.dispatcher.events[hex_id(1)][2:]
    gate.opened.set()
    assert site.dispatcher.await_kind(1, "end") == DEPLOYED


def test_the_session_number_is_remembered_for_the_next_start(site: Site) -> None:
    site.once()
    site.once()
    assert [message.last_session for message in site.dispatcher.sessions] == [0, 1]


def test_without_an_enrolment_once_says_what_to_do(site: Site) -> None:
    (site.state / "identity.json").unlink()
    ended = site.once()
    assert ended.code == UNREACHABLE
    assert "enroll" in ended.text


def test_a_full_disk_at_the_begin_refuses_the_order(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path, _begin: object, _writing: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(JournalFile, "create", full)
    site.dispatcher.give(order(1))
    site.start()
    site.dispatcher.await_kind(1, "refused")
    assert "No space left" in str(site.dispatcher.events[hex_id(1)][0].data)
