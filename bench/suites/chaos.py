"""Queue workers under load while parents, children, the database and the broker are killed, stopped and cut off.

Jobs fail, are deferred and go wrong for good as their payload says; at random moments something is harmed, and healed
before the next harm. At the end everything has to settle, and the history is checked (tests/job_history.py): each job
there and settled once, each fence's end on record, attempts counted as the rules say, each keyed effect applied once.

    bench/chaos [--quick] [--only COMBINATION]… [--jobs N] [--faults N] [--seed N] [--out FILE]

`--jobs` and `--faults` are for each combination. The last line is JSON: jobs, faults, lost, doubled, unsettled,
miscounted, overlapping, load_before, in all, and of each combination.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from job_history import Findings
from queue_workers.chaos import Load, Result, run
from queue_workers.chaos_sites import COMBINATIONS


def figures(result: Result) -> dict[str, int]:
    """Return the counts of a run."""
    found = {field.name: len(getattr(result.findings, field.name)) for field in fields(Findings)}
    return {"jobs": result.jobs, "faults": result.faults.total(), **found}


def go_through(names: list[str], given: argparse.Namespace) -> dict[str, dict[str, object]]:
    """Run each combination; returns its counts, and for people what went wrong."""
    kept: dict[str, dict[str, object]] = {}
    for name in names:
        with tempfile.TemporaryDirectory(prefix="cd-chaos-") as place:
            Path(place).chmod(0o711)
            with COMBINATIONS[name](Path(place)) as (rig, harms):
                load = Load(
                    jobs=given.jobs,
                    faults=given.faults,
                    pause_s=given.pause_s,
                    seed=given.seed,
                    notes=Path(place) / "notes",
                )
                result = run(rig, load, harms)
        counts = figures(result)
        print(name, {**counts, "executions": result.executions, "cut_off": result.cut_off}, flush=True)
        print(f"  {result.took_s:.0f} s, {dict(result.faults)}", flush=True)
        for line in result.findings.all()[:50]:
            print("  FAILURE", line, flush=True)
        kept[name] = {
            **counts,
            "executions": result.executions,
            "cut_off": result.cut_off,
            "took_s": round(result.took_s, 1),
            "faults_by_name": dict(result.faults),
            "failures": result.findings.all(),
        }
    return kept


def main() -> int:
    """Run, sum up, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="some hundred jobs and a dozen faults each")
    parser.add_argument("--only", action="append", choices=list(COMBINATIONS), help="may be given several times")
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--faults", type=int, default=300)
    parser.add_argument("--pause-s", type=float, default=0.6, help="between two faults, at most")
    parser.add_argument("--seed", type=int, default=20261124)
    parser.add_argument("--out", type=Path, help="also write the figures with each failure to this file")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("chaos: run it as root: it mounts a small file system, and servers run as their own users")
    if given.quick:
        given.jobs, given.faults, given.pause_s = 400, 12, 0.3
    load = os.getloadavg()[0]
    kept = go_through(given.only or list(COMBINATIONS), given)
    names = ["jobs", "faults", *(field.name for field in fields(Findings))]
    summed: dict[str, float] = {name: sum(int(str(each[name])) for each in kept.values()) for name in names}
    summed["load_before"] = round(load, 2)
    by_combination = {name: {key: each[key] for key in names} for name, each in kept.items()}
    if given.out:
        given.out.write_text(json.dumps({**summed, "seed": given.seed, "combinations": kept}, indent=1) + "\n")
    print(json.dumps({**summed, "combinations": by_combination}))
    return 1 if any(summed[field.name] for field in fields(Findings)) else 0


if __name__ == "__main__":
    sys.exit(main())
