"""How long the server takes for each page, filter and search: asked again and again, each time of something else.

Run by `portal.py` in a process of its own: CENTRAL_DISPATCH_HOME names a home that is filled.
"""

import json
import random
import sys
import time
from collections.abc import Callable
from urllib.parse import urlencode

from central_dispatch.portal.setup import prepare_django

prepare_django()

from django.test import Client
from django.utils import timezone
from portal_data import ERRORS, QUEUES

from central_dispatch.portal.accounts.models import User
from central_dispatch.portal.pages.fragments import FRAGMENTS, FRESH_S
from central_dispatch.worker_manager import counts
from central_dispatch.worker_manager.job_search import ORDERS, Wanted, find, place_of
from central_dispatch.worker_manager.models import Job

CHANCE = random.Random(3)  # noqa: S311 the same questions each time
HTTP_OK = 200
JOBS = "/worker-manager/jobs/"
Make = Callable[[], str]


def jobs(**query: object) -> str:
    """Return the address of a list of jobs."""
    return f"{JOBS}?{urlencode({name: value for name, value in query.items() if value})}"


def queue() -> str:
    """Return a queue; one has nothing in it."""
    return CHANCE.choice([*QUEUES, "housekeeping"])


def deep(state: str, order: str) -> Make:
    """Return addresses of pages in the middle of a list, by their place."""
    rows = Job.objects.count()

    def make() -> str:
        wanted = Wanted(state=state, order=order)
        job = Job.objects.filter(pk__gte=CHANCE.randint(1, rows), **({"state": state} if state else {})).first()
        if job is None or getattr(job, wanted.time) is None:
            return jobs(state=state, order=order)
        place = place_of(wanted, job)
        return jobs(state=state, order=order, after=f"{place.value.isoformat()}~{place.job}")  # type: ignore[union-attr] # a time

    return make


def pages() -> dict[str, Make]:
    """Return each list, filter and search by its name."""
    rows = Job.objects.count()
    found: dict[str, Make] = {
        "overview": lambda: "/",
        "managed instances": lambda: "/instances/",
        "instances by text": lambda: f"/instances/?q=portal-{CHANCE.randint(0, 49)}",
        "instances by state": lambda: f"/instances/?state={CHANCE.choice(['active', 'stuck', 'draft'])}",
        "queues": lambda: "/worker-manager/queues/",
        "queue": lambda: f"/worker-manager/queues/{CHANCE.choice(list(QUEUES))}/",
        "general settings": lambda: "/worker-manager/settings/",
        "workers": lambda: "/worker-manager/workers/",
        "batches": lambda: "/worker-manager/batches/",
        "batch": lambda: "/worker-manager/batches/7/",
        "schedules": lambda: "/worker-manager/schedules/",
        "job": lambda: f"{JOBS}{CHANCE.randint(1, rows)}/",
        "jobs by number": lambda: jobs(q=CHANCE.randint(1, rows)),
        "jobs by record": lambda: jobs(record=CHANCE.randint(1, rows // 4)),
        "jobs by record, state and queue": lambda: jobs(
            record=CHANCE.randint(1, rows // 4), state="finished", queue=queue()
        ),
        "jobs by instance": lambda: jobs(instance=f"portal-{CHANCE.randint(0, 499):03}"),
        "jobs by batch": lambda: jobs(batch=7, state=CHANCE.choice(["", "in_error", "running", "waiting"])),
        "jobs by error": lambda: jobs(q=CHANCE.choice(ERRORS)[:14]),
        "jobs by error that none has": lambda: jobs(q="nothing fits this text"),
        "failed jobs by error and queue": lambda: jobs(q="503", state="in_error", queue=queue()),
    }
    for state, orders in ORDERS.items():
        for order in orders:
            name = f"jobs {state or 'all'} {order}"
            found[name] = lambda state=state, order=order: jobs(state=state, order=order)  # type: ignore[misc] # bound now
            found[f"{name} of a queue"] = lambda state=state, order=order: jobs(state=state, order=order, queue=queue())  # type: ignore[misc] # likewise
            found[f"{name} within a span"] = lambda state=state, order=order: jobs(  # type: ignore[misc] # likewise
                state=state, order=order, span=CHANCE.choice(["1h", "1d", "7d"]), queue=CHANCE.choice(["", queue()])
            )
            found[f"{name} far in"] = deep(state, order)
    return found


def p95(times: list[float]) -> float:
    """Return what 95 of 100 did not exceed."""
    return sorted(times)[max(0, round(0.95 * len(times)) - 1)]


def main() -> int:
    """Ask each page `argv[1]` times; print {page: [p95, longest]} in milliseconds as JSON."""
    rounds = int(sys.argv[1])
    client = Client(headers={"host": "localhost"}, raise_request_exception=True)
    client.force_login(User.objects.get(username="admin"), backend="django.contrib.auth.backends.ModelBackend")
    times: dict[str, list[float]] = {}
    made = pages()
    for round_number in range(rounds + 1):
        for name, make in made.items():
            address = make()
            counts.forget()
            FRAGMENTS.forget()
            began = time.perf_counter()
            answer = client.get(address, secure=True)
            took = time.perf_counter() - began
            assert answer.status_code == HTTP_OK, (address, answer.status_code)
            if round_number:  # the first one reads what is on the disk
                times.setdefault(name, []).append(1000 * took)
    figures = {name: [round(p95(found), 1), round(max(found), 1)] for name, found in times.items()}
    age = counts_age()
    print(json.dumps({"pages": figures, "counters_s": age}))
    return 0


def counts_age() -> float:
    """Return how old a figure is that a page shows at the worst, in seconds: both that keep it, and the counting."""
    began = time.perf_counter()
    counts.count(timezone.now())
    return round(counts.FRESH_S + FRESH_S + time.perf_counter() - began, 2)


if __name__ == "__main__":
    find(Wanted())
    sys.exit(main())
