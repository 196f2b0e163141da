"""Whatever a host reports, in whatever order: nothing breaks, and run and instance never disagree."""

from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from central_dispatch.fleet.actor import Actor
from central_dispatch.fleet.models import Instance, Run, Worker
from central_dispatch.fleet.services import runs
from central_dispatch.fleet.services.claims import claim
from central_dispatch.fleet.services.events import record_events
from central_dispatch.fleet.states import OPEN_RUNS
from central_dispatch.provisioning.protocol import Claim, Reported
from dispatchers.fleet import draft, enrolled, report

_NUMBERS = count(1)
KINDS = ("begin", "intent", "output", "done", "failed", "back_out", "undo", "undone", "stuck", "retry", "acknowledged")
KINDS += ("commit", "tail_intent", "tail_done", "waiting", "end", "planned", "found", "refused", "unheard-of")
DATA = st.sampled_from(
    [
        {},
        {"what": "no room", "why": "", "mend": "Make room.", "field": ""},
        {"ending": "committed"},
        {"ending": "backed_out"},
        {"steps": [0, 1]},
        {"items": [{"key": "database", "what": "Database x", "whose": "ours"}]},
        {"problems": [{"what": "taken"}]},
        {"line": "output"},
        {"left": "a foreign thing"},
        {"what": None, "steps": None, "items": 7, "problems": {}, "line": [], "ending": 3},
    ]
)
EVENTS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(-1, 3), DATA), min_size=1, max_size=14)
# A plausible beginning leads deeper than chance would.
BEGINNINGS = st.sampled_from([(), ("begin",), ("begin", ("intent", 0), ("failed", 0)), ("begin", "commit")])


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(BEGINNINGS, EVENTS, st.integers(1, 14))
def test_nothing_that_a_host_reports_breaks_the_books(
    administrator: Actor, beginning: tuple[object, ...], told: list[object], cut: int
) -> None:
    worker = Worker.objects.first() or enrolled(administrator)[0]
    instance = draft(administrator, worker, f"site-{next(_NUMBERS)}")
    run = runs.deploy(administrator, instance.pk)
    assert isinstance(run, Run)
    claim(worker.pk, Claim(session=2))
    kinds = [*beginning, *told]
    for begin, part in ((0, kinds[:cut]), (len(kinds[:cut]), kinds[cut:])):
        answer = record_events(worker.pk, run.pk, report(2, *part, start=begin + 1))
        assert answer == Reported(through=begin + len(part))
        run.refresh_from_db()
        instance.refresh_from_db()
        is_open = run.state in OPEN_RUNS
        assert is_open == (run.open_key == instance.pk)
        under_way = {Instance.State.DEPLOYING, Instance.State.BACKING_OUT, Instance.State.STUCK}
        assert (instance.state in under_way) == is_open
        assert (instance.state == Instance.State.ACTIVE) == (run.state == Run.State.COMMITTED)
        assert (run.ended_at is None) == is_open
