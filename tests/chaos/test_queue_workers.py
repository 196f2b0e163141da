"""A small chaos run: parents, fork servers and children are killed and stopped at random under load; then the history
is checked. Nothing is lost, nothing is settled twice, nothing is left unsettled, and no process survives."""

import random
import signal
import time
from collections import Counter
from datetime import UTC, datetime

from central_dispatch.jobs.job import NewJob
from central_dispatch.jobs.ports import StoreDown
from central_dispatch.worker import process_tree
from queue_workers.rig import Rig, Worker, eventually, lives

JOBS = 1500
FAULTS = 40
QUICK = {"beat_s": 0.2, "lease_s": 2.0, "stopped_s": 1.0, "look_s": 0.3}
SEED = 20261124


def _children(pid: int) -> list[int]:
    return [seen.pid for seen in process_tree.snapshot().get(pid, []) if seen.lives]


class Nemesis:
    """Does one harm at a time to a running worker, and starts what it killed again."""

    def __init__(self, rig: Rig, luck: random.Random) -> None:
        self.rig = rig
        self.luck = luck
        self.done: Counter[str] = Counter()
        self.workers = [self._start(), self._start()]
        self._stopped: Worker | None = None

    def _start(self) -> Worker:
        return self.rig.start("sleep", "no-op", slots=4, timing=QUICK)

    def harm(self) -> None:
        if self._stopped:
            self._stopped.signal(signal.SIGCONT)
            self._stopped = None
        place = self.luck.randrange(len(self.workers))
        worker = self.workers[place]
        what = self.luck.choice(["parent", "child", "child", "server", "stop", "drain"])
        servers = _children(worker.process.pid)
        children = [child for server in servers for child in _children(server)]
        self.done[what] += 1
        match what:
            case "parent":
                worker.signal(signal.SIGKILL)
                worker.ended()
                self.workers[place] = self._start()
            case "drain":
                worker.signal(signal.SIGTERM)
                self.workers[place] = self._start()
            case "child" if children:
                process_tree.send(self.luck.choice(children), signal.SIGKILL)
            case "server" if servers:
                process_tree.send(servers[0], signal.SIGKILL)
            case "stop":
                worker.signal(signal.SIGSTOP)
                self._stopped = worker

    def rest(self) -> None:
        if self._stopped:
            self._stopped.signal(signal.SIGCONT)
        self._stopped = None


def enqueue(rig: Rig, nemesis: Nemesis, jobs: list[NewJob]) -> None:
    """Enqueue as a service does: a store that is down has written nothing and is asked again."""
    try:
        rig.store.enqueue(jobs, datetime.now(UTC))
    except StoreDown:
        # A worker that was stopped in the middle of a write holds every other writer up, until it is let go.
        nemesis.rest()
        rig.store.enqueue(jobs, datetime.now(UTC))


def test_under_kills_and_stops_nothing_is_lost_doubled_or_left(rig: Rig) -> None:
    luck = random.Random(SEED)  # noqa: S311 repeatable on purpose
    log = rig.directory / "executions"
    new = [
        NewJob(kind="sleep", payload={"seconds": luck.choice([0, 0, 0.005, 0.05]), "log": str(log)})
        if index % 3
        else NewJob(kind="no-op", payload={})
        for index in range(JOBS)
    ]
    rig.store.change_settings("no-op", {"max_attempts": 1000})
    nemesis = Nemesis(rig, luck)
    for start in range(0, JOBS, JOBS // FAULTS):
        enqueue(rig, nemesis, new[start : start + JOBS // FAULTS])
        rig.broker.ring(["sleep", "no-op"])
        time.sleep(luck.uniform(0.0, 0.4))  # the harm comes at any moment; nothing is asserted about the time
        nemesis.harm()
    nemesis.rest()
    eventually(lambda: rig.states() == {"finished": JOBS}, "everything is finished")
    for worker in rig.workers:
        if worker.process.poll() is None:
            worker.signal(signal.SIGTERM)
            worker.ended()

    done = rig.rows("SELECT job, count(*) AS n FROM job_attempt WHERE outcome = 'done' GROUP BY job")
    assert len(done) == JOBS, "lost"
    assert max(row["n"] for row in done) == 1, "settled twice"
    assert rig.rows("SELECT job, fence FROM job_attempt GROUP BY job, fence HAVING count(*) > 1") == []
    stale = "SELECT j.id FROM job j JOIN job_attempt a ON a.job = j.id AND a.outcome = 'done' WHERE a.fence <> j.fence"
    assert rig.rows(stale) == [], "settled under an old fence"
    assert rig.rows("SELECT id FROM job WHERE state IN ('running', 'waiting')") == [], "unsettled"
    executions = [tuple(line.split()) for line in log.read_text(encoding="ascii").splitlines()]
    assert len({(job, fence) for job, fence, _ in executions}) == len(executions), "one fence ran twice"
    assert not any(lives(pid) for pid in rig.marked()), "a process survived"
    assert sum(nemesis.done.values()) >= FAULTS
    print(f"jobs={JOBS} faults={dict(nemesis.done)} executions={len(executions)}")  # noqa: T201 shown with -s
