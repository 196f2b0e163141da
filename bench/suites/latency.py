"""From a job's commit to the first line of its handler, warm, on the embedded broker and on RabbitMQ.

One queue worker with four slots for each broker, on SQLite with every commit synced to the disk. Single jobs are
enqueued, one every 25 ms, by another process; both brokers take turns, a hundred jobs at a time, so that whatever
else the machine does weighs on both. The clock starts when the commit has returned and stops in the handler.

    bench/latency [--quick] [--jobs N] [--out FILE]

The last line is JSON, in milliseconds: `embedded_p50_ms, embedded_p99_ms, rabbitmq_p50_ms, rabbitmq_p99_ms`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from central_dispatch.jobs.job import NewJob
from queue_workers.rig import Rig, eventually
from servers.places import passable_directory
from servers.rabbitmq import Node

BROKERS = ("embedded", "rabbitmq")
_LOT = 100
_PACE_S = 0.025
_WARM = 40


def lot(rig: Rig, jobs: int) -> list[float]:
    """Enqueue jobs one by one; returns from commit to start of each, in milliseconds."""
    committed: dict[int, float] = {}
    for _ in range(jobs):
        at = time.time()
        [job] = rig.store.enqueue([NewJob(kind="measure", payload={"at": at})], datetime.now(UTC))
        done = time.time()
        rig.broker.ring(["measure"])
        assert job is not None
        committed[job] = done - at
        time.sleep(_PACE_S)
    eventually(lambda: not set(rig.states()) - {"finished"}, "all have run")
    rows = rig.rows("SELECT id, result FROM job WHERE id BETWEEN ? AND ?", min(committed), max(committed))
    return [1000 * (json.loads(row["result"])["latency_s"] - committed[row["id"]]) for row in rows]


def percentile(values: list[float], share: float) -> float:
    """Return the value below which that share of them lies."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="500 jobs on each broker")
    parser.add_argument("--jobs", type=int, default=4000, help="on each broker")
    parser.add_argument("--out", type=Path, help="also write every latency to this file")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    found: dict[str, list[float]] = {name: [] for name in BROKERS}
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cd-latency-")))
        node = stack.enter_context(Node(stack.enter_context(passable_directory()) / "rabbitmq"))
        rigs = {}
        for name in BROKERS:
            (place / name).mkdir()
            rigs[name] = Rig(place / name, broker_name=name, node=node)
            stack.callback(rigs[name].close)
            rigs[name].start("measure", slots=4)
            lot(rigs[name], _WARM)
        for _ in range((500 if given.quick else given.jobs) // _LOT):
            for name in BROKERS:
                found[name] += lot(rigs[name], _LOT)
    figures: dict[str, float] = {}
    for name, values in found.items():
        for share in (50, 99):
            figures[f"{name}_p{share}_ms"] = round(percentile(values, share / 100), 2)
        figures[f"{name}_most_ms"] = round(max(values), 2)
    figures |= {"jobs": len(found["embedded"]), "load_before": round(load, 2), "cpus": os.cpu_count() or 0}
    if given.out:
        given.out.write_text(json.dumps({**figures, "latencies_ms": found}) + "\n")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
