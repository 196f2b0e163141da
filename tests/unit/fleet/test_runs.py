import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from central_dispatch.fleet import queries
from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.models import Change, Instance, Run, RunEvent, RunStep, Worker
from central_dispatch.fleet.refusal import Refused
from central_dispatch.fleet.services import runs
from central_dispatch.fleet.services.claims import claim
from central_dispatch.fleet.services.events import Gap, record_events
from central_dispatch.fleet.services.hosts import start_session
from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.audit.models import AuditEntry
from central_dispatch.provisioning.protocol import Claim, Claimed, Facts, Reported, SessionStart, SettingsView
from dispatchers.fleet import draft, enrolled, report

SESSION = 2  # the one that `enrolled` started
PROBLEM = {"what": "the disk is full", "why": "0 bytes are free", "mend": "Make room.", "field": ""}
DEPLOYED = ("begin", ("intent", 0), ("done", 0), ("intent", 1), ("done", 1), "commit", ("tail_intent", 0))
DEPLOYED = (*DEPLOYED, ("tail_done", 0), ("end", -1, {"ending": "committed"}))


class Fleet:
    """One worker with one draft, and the host's side of it as a script."""

    def __init__(self, by: Actor) -> None:
        self.by = by
        self.worker, _ = enrolled(by)
        self.instance = draft(by, self.worker)

    def deploy(self) -> Run:
        run = runs.deploy(self.by, self.instance.pk)
        assert isinstance(run, Run), run
        return run

    def claim(self, *known: str, session: int = SESSION, first_look: bool = True) -> Claimed:
        answer = claim(self.worker.pk, Claim(session=session, known=known), first_look=first_look)
        assert isinstance(answer, Claimed)
        return answer

    def say(self, run: Run, *kinds: object, session: int = SESSION) -> Run:
        run.refresh_from_db()
        answer = record_events(self.worker.pk, run.pk, report(session, *kinds, start=run.through + 1))
        assert isinstance(answer, Reported), answer
        run.refresh_from_db()
        self.instance.refresh_from_db()
        return run

    def new_session(self) -> int:
        known = Worker.objects.get(pk=self.worker.pk).session
        message = SessionStart(
            machine_id=self.worker.machine_id, last_session=known, facts=Facts(), settings=SettingsView()
        )
        return start_session(self.worker.pk, message).session

    def steps(self, run: Run) -> list[str]:
        return [step.state for step in run.steps.all()]


@pytest.fixture
def fleet(administrator: Actor) -> Fleet:
    return Fleet(administrator)


def test_a_deployment_goes_from_draft_to_active(fleet: Fleet) -> None:
    run = fleet.deploy()
    assert fleet.claim().orders[0].spec.name == "acme-press"
    fleet.say(run, "begin", ("intent", 0), ("output", 0, {"line": "creating"}))
    assert (run.state, fleet.instance.state) == ("running", "deploying")
    assert fleet.steps(run) == ["open", "untouched", "untouched"]
    fleet.say(run, *DEPLOYED[2:])
    assert (run.state, fleet.instance.state) == ("committed", "active")
    assert fleet.steps(run) == ["done", "done", "done"]
    assert run.steps.get(index=0, part="steps").output == "creating\n"
    assert run.open_key is None
    assert fleet.instance.deployed_at is not None
    assert fleet.instance.error is None


def test_a_failed_step_is_named_and_a_retry_works_straight_away(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0), ("done", 0), ("intent", 1), ("failed", 1, PROBLEM))
    assert (run.state, fleet.instance.state) == ("backing_out", "backing_out")
    fleet.say(run, ("undo", 1), ("undone", 1), ("undo", 0), ("undone", 0, {"left": "a foreign table"}))
    fleet.say(run, ("end", -1, {"ending": "backed_out"}))
    assert (run.state, fleet.instance.state) == ("backed_out", "in_error")
    assert fleet.steps(run) == ["undone", "undone", "untouched"]
    assert str(fleet.instance.error) == "Code 6.1.9: the disk is full: 0 bytes are free. Make room."
    assert run.left == ["Database acme_press: a foreign table"]
    assert fleet.deploy().pk != run.pk
    fleet.instance.refresh_from_db()
    assert (fleet.instance.state, fleet.instance.error) == ("deploying", None)


def test_of_two_who_press_at_once_one_gets_the_run_and_the_other_is_told_which(fleet: Fleet) -> None:
    start = threading.Barrier(8)

    def press(_number: int) -> Run | Refused:
        try:
            start.wait()
            return runs.deploy(fleet.by, fleet.instance.pk)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(press, range(8)))
    winners = [answer for answer in answers if isinstance(answer, Run)]
    assert len(winners) == 1
    assert {answer.run for answer in answers if isinstance(answer, Refused)} == {winners[0].pk}
    assert Run.objects.count() == 1


def test_a_run_that_the_host_was_not_told_of_is_withdrawn_at_once(fleet: Fleet) -> None:
    run = fleet.deploy()
    answer = runs.back_out(fleet.by, run.pk)
    assert isinstance(answer, Run)
    assert answer.state == "withdrawn"
    fleet.instance.refresh_from_db()
    assert fleet.instance.state == "draft"
    assert fleet.claim().orders == ()


def test_backing_out_by_hand_turns_the_run_round_and_leaves_a_draft(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0), ("done", 0))
    runs.back_out(fleet.by, run.pk)
    wish = fleet.claim(run.pk).wishes[0]
    assert (wish.run, wish.verb, wish.by) == (run.pk, "back_out", "administrator")
    fleet.say(run, ("back_out", -1, {**PROBLEM, "what": "Backed out by administrator"}))
    assert fleet.claim(run.pk).wishes == ()
    fleet.say(run, ("undo", 0), ("undone", 0), ("end", -1, {"ending": "backed_out"}))
    assert (run.state, fleet.instance.state) == ("backed_out", "draft")
    assert fleet.instance.error is not None


def test_after_the_commit_a_run_only_goes_forward(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, *DEPLOYED[:6])
    assert run.state == "finishing"
    answer = runs.back_out(fleet.by, run.pk)
    assert isinstance(answer, Refused)
    assert "delete the instance" in str(answer)


def test_a_stuck_run_waits_for_an_administrator_who_retries_or_acknowledges(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(
        run, "begin", ("intent", 0), ("failed", 0, PROBLEM), ("undo", 0), ("stuck", 0, {**PROBLEM, "what": "busy"})
    )
    assert (run.state, fleet.instance.state) == ("stuck", "stuck")
    assert str(fleet.instance.error).startswith("Database acme_press: busy")
    assert isinstance(runs.deploy(fleet.by, fleet.instance.pk), Refused)
    assert isinstance(runs.delete(fleet.by, fleet.instance.pk, "acme-press"), Refused)
    runs.retry_stuck(fleet.by, run.pk)
    assert fleet.claim(run.pk).wishes[0].verb == "retry"
    fleet.say(run, "retry", ("undo", 0), ("stuck", 0, PROBLEM))
    assert (run.state, run.wish) == ("stuck", "")
    runs.acknowledge(fleet.by, run.pk)
    assert fleet.claim(run.pk).wishes[0].verb == "acknowledge"
    fleet.say(run, ("acknowledged", -1, {"by": "administrator", "steps": [0]}))
    assert fleet.steps(run)[0] == "acknowledged"
    fleet.say(run, ("end", -1, {"ending": "backed_out"}))
    assert (run.state, fleet.instance.state) == ("backed_out", "in_error")
    # The first cause is what the instance shows in the end, not what the back-out was stuck at.
    assert "the disk is full" in str(fleet.instance.error)
    assert AuditEntry.objects.filter(what__in=["run.retry", "run.acknowledge"]).count() == 2


def test_a_tail_that_is_stuck_ends_active_once_it_was_retried(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, *DEPLOYED[:7], ("stuck", 0, PROBLEM))
    assert (run.state, fleet.instance.state) == ("stuck", "stuck")
    assert fleet.steps(run) == ["done", "done", "stuck"]
    fleet.say(run, "retry", ("tail_intent", 0), ("tail_done", 0), ("end", -1, {"ending": "committed"}))
    assert (run.state, fleet.instance.state) == ("committed", "active")


def test_only_administrators_decide_about_what_is_stuck(fleet: Fleet, person: Callable[[Role], User]) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0), ("failed", 0, PROBLEM), ("stuck", 0, PROBLEM))
    operator = Actor("operator", Role.OPERATOR, person(Role.OPERATOR).pk)
    for answer in (runs.retry_stuck(operator, run.pk), runs.acknowledge(operator, run.pk)):
        assert isinstance(answer, Refused)
        assert answer.kind == "forbidden"
    assert queries.allowed_run_actions(operator, run) == frozenset()
    assert queries.allowed_run_actions(fleet.by, run) == {"retry", "acknowledge"}


def deployed(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, *DEPLOYED)


def test_a_deletion_frees_the_names_when_the_host_has_committed_it(fleet: Fleet) -> None:
    deployed(fleet)
    run = runs.delete(fleet.by, fleet.instance.pk, "acme-press")
    assert isinstance(run, Run)
    fleet.instance.refresh_from_db()
    assert (fleet.instance.state, fleet.instance.live_name) == ("changing", "acme-press")
    assert fleet.claim().orders[0].kind == "delete"
    fleet.say(run, *DEPLOYED)
    assert (fleet.instance.state, fleet.instance.live_name) == ("deleted", None)
    assert draft(fleet.by, fleet.worker).name == "acme-press"
    # The history of the deleted one is kept.
    assert fleet.instance.runs.count() == 2


def test_a_deletion_that_failed_leaves_the_instance_active_with_the_reason(fleet: Fleet) -> None:
    deployed(fleet)
    run = runs.delete(fleet.by, fleet.instance.pk, "acme-press")
    assert isinstance(run, Run)
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0), ("failed", 0, PROBLEM), ("undo", 0), ("undone", 0))
    fleet.say(run, ("end", -1, {"ending": "backed_out"}))
    assert fleet.instance.state == "active"
    assert "the disk is full" in str(fleet.instance.error)


def test_a_refusal_says_why_and_nothing_was_done(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    second = {"what": "the hostname is taken", "field": "hostnames"}
    fleet.say(run, ("refused", -1, {"problems": [PROBLEM, second]}))
    assert (run.state, fleet.instance.state) == ("refused", "in_error")
    assert [problem.field for problem in run.problems] == ["", "hostnames"]
    assert "the disk is full" in str(fleet.instance.error)


def test_a_plan_shows_each_step_and_changes_nothing(fleet: Fleet) -> None:
    run = runs.request_plan(fleet.by, fleet.instance.pk)
    assert isinstance(run, Run)
    assert runs.request_plan(fleet.by, fleet.instance.pk) == run
    assert fleet.claim().orders[0].kind == "plan"
    change = {"verb": "create", "what": "database", "where": "acme_press", "after": ""}
    steps = [{"name": "database", "title": "Database acme_press", "changes": [change]}]
    fleet.say(run, ("planned", -1, {"steps": steps, "tail": [], "problems": [PROBLEM]}))
    assert (run.state, fleet.instance.state) == ("planned", "draft")
    assert run.steps.get().changes[0].where == "acme_press"
    assert [str(problem) for problem in run.problems] == ["the disk is full: 0 bytes are free. Make room."]
    assert queries.latest_plan(fleet.instance) == run


def test_a_plan_under_way_does_not_hold_a_deployment_up(fleet: Fleet) -> None:
    plan = runs.request_plan(fleet.by, fleet.instance.pk)
    assert isinstance(plan, Run)
    fleet.claim()
    run = fleet.deploy()
    plan.refresh_from_db()
    assert plan.state == "withdrawn"
    # What the host still answers is kept and not followed.
    fleet.say(plan, "planned")
    assert plan.state == "withdrawn"
    assert [order.run for order in fleet.claim().orders] == [run.pk]


def test_what_an_inventory_lists_is_cleared_item_by_item(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0))
    session = fleet.new_session()
    fleet.claim(session=session)
    fleet.instance.refresh_from_db()
    run.refresh_from_db()
    assert (run.state, fleet.instance.state) == ("lost", "stuck")
    look = runs.request_inventory(fleet.by, fleet.instance.pk)
    assert isinstance(look, Run)
    fleet.claim(session=session)
    items = [
        {"key": "database", "what": "Database acme_press", "whose": "ours"},
        {"key": "user", "what": "User cd-acme-press", "whose": "foreign"},
    ]
    fleet.say(look, ("found", -1, {"items": items}), session=session)
    assert fleet.instance.state == "stuck"
    for wrong in ((), ("user",), ("database", "other")):
        assert isinstance(runs.clear_items(fleet.by, fleet.instance.pk, wrong), Refused)
    clear = runs.clear_items(fleet.by, fleet.instance.pk, ("database",))
    assert isinstance(clear, Run)
    order = fleet.claim(session=session).orders[0]
    assert (order.kind, order.items) == ("clear", ("database",))
    fleet.say(clear, "begin", "commit", ("end", -1, {"ending": "committed"}), session=session)
    assert fleet.instance.state == "stuck"
    again = fleet.claim(session=session).orders[0]
    assert again.kind == "inventory"
    fleet.say(Run.objects.get(pk=again.run), ("found", -1, {"items": items[1:]}), session=session)
    assert fleet.instance.state == "draft"


def test_an_order_is_sent_until_the_host_has_begun(fleet: Fleet) -> None:
    run = fleet.deploy()
    assert [order.run for order in fleet.claim().orders] == [run.pk]
    # At once after, the host may just be about to begin: not again yet, and not at all if it lists it.
    assert fleet.claim().orders == ()
    Run.objects.update(sent_at="2026-01-01T00:00:00Z")
    assert [order.run for order in fleet.claim().orders] == [run.pk]
    Run.objects.update(sent_at="2026-01-01T00:00:00Z")
    assert fleet.claim(run.pk).orders == ()
    session = fleet.new_session()
    assert [order.run for order in fleet.claim(session=session).orders] == [run.pk]
    fleet.say(run, "begin", session=session)
    Run.objects.update(sent_at="2026-01-01T00:00:00Z")
    assert fleet.claim(session=session).orders == ()


def test_a_run_is_never_given_to_another_worker(fleet: Fleet) -> None:
    other, _ = enrolled(fleet.by, "web-2")
    run = fleet.deploy()
    answer = claim(other.pk, Claim(session=SESSION))
    assert isinstance(answer, Claimed)
    assert answer.orders == ()
    refused = record_events(other.pk, run.pk, report(SESSION, "begin"))
    assert isinstance(refused, Refused)
    assert refused.kind == "forbidden"
    assert not RunEvent.objects.exists()


def test_a_run_of_this_session_is_not_lost_because_a_waiting_claim_does_not_list_it(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0))
    fleet.claim()
    session = fleet.new_session()
    fleet.claim(session=session, first_look=False)
    run.refresh_from_db()
    assert run.state == "running"
    fleet.claim(run.pk, session=session)
    run.refresh_from_db()
    assert run.state == "running"


def test_reporting_twice_is_harmless_and_a_gap_is_refused(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    first = report(SESSION, *DEPLOYED[:4])
    assert record_events(fleet.worker.pk, run.pk, first) == Reported(through=4)
    assert record_events(fleet.worker.pk, run.pk, first) == Reported(through=4)
    overlap = report(SESSION, *DEPLOYED[2:6], start=3)
    assert record_events(fleet.worker.pk, run.pk, overlap) == Reported(through=6)
    gap = report(SESSION, ("tail_done", 0), start=8)
    assert record_events(fleet.worker.pk, run.pk, gap) == Gap(6)
    assert list(run.events.values_list("sequence", flat=True)) == [1, 2, 3, 4, 5, 6]
    assert RunStep.objects.filter(run=run).count() == 3


def test_output_is_bounded(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0))
    for _ in range(3):
        fleet.say(run, *[("output", 0, {"line": "x" * 9000})] * 10)
    step = run.steps.get(index=0, part="steps")
    assert len(step.output) <= 65_536
    assert step.output_cut
    assert all(event.data == {} for event in run.events.filter(kind="output"))


def test_a_run_that_waits_for_a_server_says_so_until_it_goes_on(fleet: Fleet) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin", ("intent", 0), ("waiting", -1, {"what": "the database server is down"}))
    assert str(run.waiting) == "the database server is down"
    fleet.say(run, ("back_out", -1, PROBLEM))
    assert run.waiting is None


@pytest.mark.parametrize(
    "event",
    [
        ("begin", -1, {"steps": "nonsense", "tail": [1]}),
        ("done", 99),
        ("acknowledged", -1, {"steps": ["x", 7]}),
        ("end", -1, {"ending": "?"}),
        ("something-new", 3, {"a": 1}),
        ("intent", 2**70),
        ("undone", -(2**70), {"left": ["x"]}),
        ("acknowledged", -1, {"steps": [2**70]}),
        ("begin", -1, {"steps": [{"name": "x", "title": "y"}] * 2000}),
        ("refused", -1, {"problems": "x"}),
    ],
)
def test_what_a_host_says_amiss_is_kept_and_breaks_nothing(fleet: Fleet, event: object) -> None:
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, event, event, ("failed", 5, {"x": [1]}))
    assert run.through == 3


def test_each_change_is_announced_to_the_live_pages(fleet: Fleet) -> None:
    Change.objects.all().delete()
    run = fleet.deploy()
    fleet.claim()
    fleet.say(run, "begin")
    topics = set(Change.objects.values_list("topic", flat=True))
    assert {
        f"run:{run.pk}",
        f"instance:{fleet.instance.pk}",
        "instances",
        "runs",
        f"orders:{fleet.worker.pk}",
    } <= topics


def test_what_can_be_done_now_is_what_is_offered(fleet: Fleet) -> None:
    offered = lambda: queries.allowed_actions(fleet.by, Instance.objects.get(pk=fleet.instance.pk))  # noqa: E731 short
    assert offered() == {"edit", "plan", "deploy", "delete", "inventory", "clear"}
    deployed(fleet)
    assert offered() == {"delete", "inventory"}
    runs.delete(fleet.by, fleet.instance.pk, "acme-press")
    assert offered() == {"inventory"}
