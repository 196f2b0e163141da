"""Jobs that each run a pipe of two ffmpegs and three processes that try to get away, all interrupted at once.

One of the three ignores SIGTERM, one is in a session of its own, one was double-forked into yet another; every second
handler ignores SIGTERM itself. All jobs run at the same time in one queue worker. A job counts as ended when its last
process is gone and its row is settled; the time is what that took after the queue's grace time (1 s) was over.

    bench/interrupt [--quick] [--jobs N] [--out FILE]

The last line is JSON: jobs, processes, survivors, p50_s, p99_s, max_s (after the grace time; negative: before its end).
`stubborn_p50_s` and `stubborn_p99_s` are of those handlers alone that had to be killed.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import quantiles

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from queue_workers.interrupting import run
from queue_workers.rig import Rig


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile, in seconds."""
    return round(quantiles(values, n=100, method="inclusive")[percent - 1], 3)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 jobs")
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--out", type=Path, help="also write every time to this file")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="cd-interrupt-") as place:
        rig = Rig(Path(place))
        try:
            result = run(rig, 20 if given.quick else given.jobs)
        finally:
            rig.close()
    stubborn = result.late_s[1::2]
    figures = {
        "jobs": result.jobs,
        "processes": result.processes,
        "survivors": result.survivors,
        "p50_s": percentile(result.late_s, 50),
        "p99_s": percentile(result.late_s, 99),
        "max_s": round(max(result.late_s), 3),
        "stubborn_p50_s": percentile(stubborn, 50),
        "stubborn_p99_s": percentile(stubborn, 99),
        "states": result.states,
        "load_before": round(load, 2),
    }
    if given.out:
        given.out.write_text(json.dumps({**figures, "late_s": result.late_s}, indent=1) + "\n")
    print(json.dumps(figures))
    return 1 if result.survivors or result.states != {"interrupted": result.jobs} else 0


if __name__ == "__main__":
    sys.exit(main())
