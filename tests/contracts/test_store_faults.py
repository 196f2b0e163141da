"""The contract of `jobs.ports.Store`, which every adapter passes: processes that are killed."""

import signal
import subprocess
import sys
from datetime import UTC, datetime

from central_dispatch.jobs.outcome import Done
from central_dispatch.jobs.ports import Parent, Store
from job_adapters import SqliteSite
from store_calls import NOW, Q, ended, put, take

_CLAIM_AND_HANG = """
import sys, time
sys.path[:0] = {path!r}
from datetime import datetime, UTC
from job_adapters import *
from central_dispatch.jobs.ports import Parent
import os
store = {store}
store.register(Parent("d" * 32, "host", os.getpid(), ("q",), 5), datetime.now(UTC))
print(len(store.claim({queue!r}, "d" * 32, 5, datetime.now(UTC))), flush=True)
time.sleep(600)
"""
_WORK = """
import sys
sys.path[:0] = {path!r}
from datetime import datetime, UTC
from job_adapters import *
from central_dispatch.jobs.job import Settlement
from central_dispatch.jobs.ports import Parent, Settled
import os
store = {store}
now = datetime.now(UTC)
store.register(Parent("d" * 32, "host", os.getpid(), ("q",), 5), now)
while claims := store.claim({queue!r}, "d" * 32, 7, datetime.now(UTC)):
    done = [
        Settled(claim, Settlement(state="finished", attempts=claim.attempts + 1, deferrals=0), 1, now, now, "done")
        for claim in claims
    ]
    print(sum(store.settle(done)), flush=True)
"""


def process(site: SqliteSite, text: str) -> "subprocess.Popen[str]":
    script = text.format(path=sys.path, store=site.expression, queue=Q)
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def kill(child: "subprocess.Popen[str]") -> None:
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert child.stdout
    child.stdout.close()


def test_a_parent_killed_between_claim_and_settlement_loses_nothing(store: Store, site: SqliteSite) -> None:
    jobs = put(store, 5)
    child = process(site, _CLAIM_AND_HANG)
    assert child.stdout
    assert child.stdout.readline() == "5\n"
    kill(child)
    site.gone.add(child.pid)
    mine = Parent("e" * 32, "host", 1, (Q,), 5)
    assert store.register(mine, NOW) == jobs
    assert [claim.job for claim in take(store, mine)] == jobs


def test_a_parent_killed_at_its_work_leaves_each_job_done_once(store: Store, site: SqliteSite) -> None:
    jobs = put(store, 2000)
    child = process(site, _WORK)
    assert child.stdout
    for _ in range(20):
        assert child.stdout.readline() == "7\n"
    kill(child)
    site.gone.add(child.pid)
    mine = Parent("e" * 32, "host", 1, (Q,), 5)
    store.register(mine, NOW)
    while claims := take(store, mine, limit=300, at=datetime.now(UTC)):
        assert all(store.settle([ended(store, claim, Done()) for claim in claims]))
    assert {row["state"] for row in site.rows()} == {"finished"}
    for job in jobs[:400]:
        assert [entry["outcome"] for entry in site.history(job)].count("done") == 1
