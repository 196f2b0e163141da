"""Changes settings at random under load: whether all are effective, how soon, and whether anything breaks or restarts.

Two queue workers serve eight slots each while jobs come in all the time; a thread for each kind of setting changes it
and waits for the first job that is treated by the new value: delays of retries and deferrals, attempts' retention, the
limit of concurrency, the time limit of a job that runs, pause and resume.

    bench/settings [--quick] [--changes N] [--store NAME] [--broker NAME] [--seed N] [--out FILE]

The last line is JSON: changes, ineffective, restarts, channel_errors, slowest_s, median_s, load_before.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from queue_workers.rig import Rig
from queue_workers.settings_storm import Change, Storm
from servers.rabbitmq import shared_node

SLOTS = 8
WORKERS = 2


def storm(rig: Rig, changes: int, seed: int) -> tuple[list[Change], int]:
    """Make the changes; returns them, and how many workers or fork servers started again."""
    workers = [rig.start(slots=SLOTS) for _ in range(WORKERS)]
    made = Storm(rig, changes, seed).run()
    pids = {row["pid"] for row in rig.rows("SELECT pid FROM job_parent")}
    restarts = sum(worker.process.poll() is not None or worker.process.pid not in pids for worker in workers)
    said = "".join(worker.log.read_text(encoding="utf-8") for worker in workers)
    return made, restarts + said.count("the fork server ended") + said.count("it begins anew")


def show(made: list[Change]) -> None:
    """Print how soon each kind of setting was effective."""
    by_setting: dict[str, list[float]] = defaultdict(list)
    for change in made:
        by_setting[change.setting].append(float("inf") if change.seconds is None else change.seconds)
    for setting, seconds in sorted(by_setting.items()):
        median = statistics.median(seconds)
        print(f"{setting:18} {len(seconds):5} changes, median {median:.3f} s, slowest {max(seconds):.3f} s", flush=True)


def main() -> int:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--changes", type=int)
    parser.add_argument("--store", default="sqlite", choices=["sqlite", "postgresql", "mariadb"])
    parser.add_argument("--broker", default="embedded", choices=["embedded", "rabbitmq"])
    parser.add_argument("--seed", type=int, default=9)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    node_log = shared_node().log if given.broker == "rabbitmq" else None
    with tempfile.TemporaryDirectory(prefix="bench-settings-") as place:
        rig = Rig(Path(place), given.store, given.broker)
        begun = time.monotonic()
        try:
            made, restarts = storm(rig, given.changes or (60 if given.quick else 1000), given.seed)
            jobs = rig.rows("SELECT count(*) AS n FROM job_attempt")[0]["n"]
        finally:
            rig.close()
    show(made)
    print(f"{jobs} executions meanwhile, in {time.monotonic() - begun:.0f} s", flush=True)
    shown = [change.seconds for change in made if change.seconds is not None]
    result = {
        "store": given.store,
        "broker": given.broker,
        "changes": len(made),
        "ineffective": len(made) - len(shown),
        "restarts": restarts,
        "channel_errors": node_log.read_bytes().count(b"channel exception") if node_log else 0,
        "slowest_s": round(max(shown), 3),
        "median_s": round(statistics.median(shown), 3),
        "jobs": jobs,
        "load_before": round(load, 2),
    }
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 1 if result["ineffective"] or restarts or result["channel_errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
