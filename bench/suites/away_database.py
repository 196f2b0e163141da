"""The database is stopped under load, is away for ten minutes, and is started again.

Two queue workers on RabbitMQ, with the engine's own times, run jobs of up to 0.2 s; four jobs run through the whole
outage; half of the jobs are enqueued while it lasts: refused, and enqueued after it.

The last line is JSON: what, away_s, jobs, attempts_burnt (counted and not done), ran_twice (executions of a job beyond
its first), doubled, lost, unsettled, miscounted, settled_after_s.
"""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from queue_workers.outage import Outage, run
from queue_workers.rig import Rig
from servers.job_databases import started
from servers.places import passable_directory
from servers.rabbitmq import Node


def measure(what: str, away_s: float, jobs: int) -> dict[str, Any]:
    """Start what is needed, run, end it; returns the figures, and under "failures" what was wrong, in lines."""
    with ExitStack() as stack:
        place = stack.enter_context(passable_directory())
        node = stack.enter_context(Node(place / "rabbitmq"))
        server = started(what, place, durable=True)
        stack.callback(server.stop)
        home = place / "home"
        home.mkdir(mode=0o700)
        rig = Rig(home, what, "rabbitmq", node=node, server=server)
        stack.callback(rig.close)
        outage = Outage(stop=server.stop, start=server.start, away_s=away_s, jobs=jobs, notes=place / "notes")
        result = run(rig, outage)
    found = result.findings
    return {
        "what": what,
        "away_s": round(result.away_s, 1),
        "jobs": result.jobs,
        "attempts_burnt": result.burnt,
        "ran_twice": result.repeated,
        "doubled": len(found.doubled) + len(found.overlapping),
        "lost": len(found.lost),
        "unsettled": len(found.unsettled),
        "miscounted": len(found.miscounted),
        "settled_after_s": round(result.settled_after_s, 1),
        "failures": found.all(),
    }
