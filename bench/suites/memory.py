"""The memory of a queue worker's parent that runs very many jobs, ten at a time.

Jobs print, report, fail and are tried again, are deferred, leave files and results. What is counted is the parent's own
memory (RssAnon): pages of the database file that it has mapped are the machine's cache. The first figure is taken when
a twentieth of the jobs have run, so that all that is loaded once is loaded by then.

    bench/memory [--quick] [--jobs N] [--out FILE]

The last line is JSON: jobs, first_mib, last_mib, growth_mib, and the same of the fork server.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from central_dispatch.jobs.job import NewJob
from central_dispatch.worker import process_tree
from queue_workers.rig import Rig

_CHUNK = 1000
_SAMPLES = 20
#: Growth beyond this is called a leak, in MiB: what an allocator keeps back moves by some pages.
_ALLOWED_MIB = 2.0


def own_mib(pid: int) -> float:
    """Return a process's own memory."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) / 1024
    raise SystemExit(f"memory: process {pid} is gone")


def fork_server_of(parent: int) -> int:
    """Return the process that makes the children."""
    return process_tree.snapshot()[parent][0].pid


def measure(rig: Rig, jobs: int) -> list[dict[str, float]]:
    """Run them; returns what the memory was, again and again."""
    worker = rig.start("mixed", slots=10)
    samples: list[dict[str, float]] = []
    made = ended = 0
    while ended < jobs:
        while made < jobs and made - ended < 4 * _CHUNK:
            chunk = [NewJob(kind="mixed", payload={"number": made + index}) for index in range(_CHUNK)]
            rig.store.enqueue(chunk, datetime.now(UTC))
            rig.broker.ring(["mixed"])
            made += _CHUNK
        time.sleep(0.2)
        # By the index of what has not ended: counting what has would take longer each time.
        ended = made - rig.rows("SELECT count(*) AS n FROM job WHERE state IN ('waiting', 'running')")[0]["n"]
        if worker.process.poll() is not None:
            raise SystemExit(f"memory: the worker ended\n{worker.log.read_text()[-3000:]}")
        if ended >= (len(samples) + 1) * jobs / _SAMPLES:
            parent, server = own_mib(worker.process.pid), own_mib(fork_server_of(worker.process.pid))
            samples.append({"jobs": ended, "parent_mib": round(parent, 2), "fork_server_mib": round(server, 2)})
            print(samples[-1], flush=True)
    assert rig.states() == {"finished": jobs}, rig.states()
    worker.signal(signal.SIGTERM)
    worker.ended()
    return samples


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20,000 jobs")
    parser.add_argument("--jobs", type=int, default=200_000)
    parser.add_argument("--out", type=Path, help="also write every sample to this file")
    given = parser.parse_args()
    jobs = 20_000 if given.quick else given.jobs
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cd-memory-") as place:
        rig = Rig(Path(place))
        try:
            begun = time.monotonic()
            samples = measure(rig, jobs)
            took_s = time.monotonic() - begun
        finally:
            rig.close()
    first, last = samples[0], samples[-1]
    figures = {
        "jobs": jobs,
        "first_mib": first["parent_mib"],
        "last_mib": last["parent_mib"],
        "growth_mib": round(last["parent_mib"] - first["parent_mib"], 2),
        "fork_server_first_mib": first["fork_server_mib"],
        "fork_server_last_mib": last["fork_server_mib"],
        "jobs_per_s": round(jobs / took_s),
        "load_before": round(load, 2),
    }
    if given.out:
        given.out.write_text(json.dumps({**figures, "samples": samples}, indent=1) + "\n")
    print(json.dumps(figures))
    return 1 if figures["growth_mib"] > _ALLOWED_MIB else 0


if __name__ == "__main__":
    sys.exit(main())
