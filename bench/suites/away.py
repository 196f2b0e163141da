"""The database, or RabbitMQ, is stopped under load, is away for ten minutes, and is started again.

Two queue workers with the engine's own times run jobs of up to 0.2 s; four jobs run through the whole outage; half of
the jobs are enqueued while it lasts (without a database: refused, and enqueued after it). Without RabbitMQ work goes
on.

    bench/away [--quick] [--what postgresql|mariadb|rabbitmq] [--away-s S] [--jobs N] [--out FILE]

The last line is JSON: what, away_s, jobs, attempts_burnt (counted and not done), ran_twice (executions of a job beyond
its first), doubled, lost, unsettled, done_meanwhile, settled_after_s.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from queue_workers.outage import Outage, Result, run
from queue_workers.rig import Rig
from servers.job_databases import started
from servers.rabbitmq import Node


def measure(what: str, place: Path, away_s: float, jobs: int) -> Result:
    """Start what is needed, run, end it. With RabbitMQ away the database is SQLite: nothing else is in the way."""
    home = place / "home"
    home.mkdir(mode=0o700)
    with ExitStack() as stack:
        node = stack.enter_context(Node(place / "rabbitmq"))
        if what == "rabbitmq":
            rig = Rig(home, "sqlite", "rabbitmq", node=node)
            stop, start = node.stop, node.start
        else:
            server = started(what, place, durable=True)
            stack.callback(server.stop)
            rig = Rig(home, what, "rabbitmq", node=node, server=server)
            stop, start = server.stop, server.start
        stack.callback(rig.close)
        return run(rig, Outage(stop=stop, start=start, away_s=away_s, jobs=jobs, notes=place / "notes"))


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="away for 10 s")
    parser.add_argument("--what", choices=["postgresql", "mariadb", "rabbitmq"], default="postgresql")
    parser.add_argument("--away-s", type=float, default=600.0)
    parser.add_argument("--jobs", type=int, default=2000)
    parser.add_argument("--out", type=Path, help="also write the figures with each failure to this file")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("away: run it as root: servers run as their own users")
    away_s, jobs = (10.0, 200) if given.quick else (given.away_s, given.jobs)
    with tempfile.TemporaryDirectory(prefix="cd-away-") as place:
        Path(place).chmod(0o711)
        result = measure(given.what, Path(place), away_s, jobs)
    for line in result.findings.all()[:50]:
        print("FAILURE", line)
    found = result.findings
    figures = {
        "what": given.what,
        "away_s": round(result.away_s, 1),
        "jobs": result.jobs,
        "attempts_burnt": result.burnt,
        "ran_twice": result.repeated,
        "doubled": len(found.doubled) + len(found.overlapping),
        "lost": len(found.lost),
        "unsettled": len(found.unsettled),
        "done_meanwhile": result.during,
        "settled_after_s": round(result.settled_after_s, 1),
    }
    if given.out:
        given.out.write_text(json.dumps({**figures, "findings": asdict(found)}, indent=1) + "\n")
    print(json.dumps(figures))
    return 1 if found.all() or result.burnt or result.repeated else 0


if __name__ == "__main__":
    sys.exit(main())
