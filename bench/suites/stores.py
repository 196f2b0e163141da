"""Rows per second that each store claims and settles, in batches of 300: SQLite, PostgreSQL, MariaDB, commits on disk.

    bench/stores [--quick] [--out FILE]

The last line is one JSON object: rows, load_before, `<store>_enqueue`, `<store>_claim`, `<store>_settle`,
`<store>_claim_settle`.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

os.environ["CENTRAL_DISPATCH_DURABLE"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from central_dispatch.jobs.job import Claim, NewJob
from central_dispatch.jobs.outcome import Done
from central_dispatch.jobs.ports import Parent, Settled, Store
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.settling import settle
from job_adapters import STORES


def main() -> None:
    """Measure one store after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rows")
    parser.add_argument("--out", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    rows = 6_000 if given.quick else 60_000
    figures: dict[str, float] = {"rows": rows, "load_before": round(os.getloadavg()[0], 2)}
    for name, make in STORES.items():
        with tempfile.TemporaryDirectory() as directory:
            site = make(Path(directory))
            measured = measure(site.open(), rows)
            site.close()
        print(name, measured, flush=True)
        figures |= {f"{name}_{what}": figure for what, figure in measured.items()}
    if given.out:
        given.out.write_text(json.dumps(figures, indent=1) + "\n")
    print(json.dumps(figures))


def measure(store: Store, rows: int) -> dict[str, int]:
    """Enqueue, claim and settle so many jobs; rows per second of each."""
    now = datetime.now(UTC)
    parent = Parent("a" * 32, "host", 1, ("bench",), 300)
    store.register(parent, now)
    begun = time.perf_counter()
    for start in range(0, rows, 3000):
        store.enqueue([NewJob(kind="bench", payload={"n": n}) for n in range(start, min(start + 3000, rows))], now)
    enqueued = time.perf_counter() - begun
    claiming = settling = 0.0
    while True:
        begun = time.perf_counter()
        claims = store.claim("bench", parent.id, 300, datetime.now(UTC))
        claiming += time.perf_counter() - begun
        if not claims:
            break
        done = [_done(claim) for claim in claims]
        begun = time.perf_counter()
        assert all(store.settle(done))
        settling += time.perf_counter() - begun
    return {
        "enqueue": round(rows / enqueued),
        "claim": round(rows / claiming),
        "settle": round(rows / settling),
        "claim_settle": round(rows / (claiming + settling)),
    }


def _done(claim: Claim) -> Settled:
    now = datetime.now(UTC)
    return Settled(claim, settle(claim, Done(), QueueSettings(), now, 0.5), 1, now, now, "done")


if __name__ == "__main__":
    main()
