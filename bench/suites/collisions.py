"""Something foreign holds a name that a deployment wants: it is named, and nothing of it changes.

Each case is laid at two moments: before the plan, which then refuses, and between a step's probe and its
act, which turns the run round. The host's fingerprint must show the foreign thing alone, unchanged.

    bench/collisions [--quick] [--out FILE]

The last line is JSON: cases, foreign_changes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from central_dispatch.host.planner import Planned
from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.provisioning.saga import Saga
from servers.collisions import CASES, KEPT_BESIDE, Case, Interfering
from servers.fingerprint import difference, fingerprint
from servers.host_rig import HostRig, add_source


def before_the_plan(rig: HostRig, case: Case, name: str) -> list[str]:
    """Lay the thing, plan (and run, where a plan cannot see it yet); return what changed."""
    spec = rig.spec(name)
    case.make(rig, spec)
    try:
        laid = fingerprint(rig.sandbox)
        _, planned = rig.plan("plan", spec)
        if isinstance(planned, Planned) and rig.begin("deploy", spec).carry_on() != "backed_out":
            return ["the deployment went through"]
        return difference(laid, fingerprint(rig.sandbox))
    finally:
        case.remove(rig, spec)


def between_probe_and_act(rig: HostRig, case: Case, name: str) -> list[str]:
    """Lay the thing right after the intent of its step; return what is left of us, or missing of it."""
    spec = rig.spec(name)
    clean = fingerprint(rig.sandbox)
    run, planned = rig.plan("deploy", spec)
    assert isinstance(planned, Planned), planned
    rig.vault.make(spec.id, planned.secrets)
    index = next(i for i, step in enumerate(planned.plan.steps) if step.name == case.step)
    journal = Interfering(rig.journal(run, planned), index, lambda: case.make(rig, spec))
    if Saga(rig.host, journal).carry_on() != "backed_out":
        return ["the deployment went through"]
    # Taking the foreign thing away again fails if it is not there any more.
    case.remove(rig, spec)
    return difference(clean, fingerprint(rig.sandbox))


def main() -> int:
    """Go through all cases and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same cases; they take about 30 s")
    parser.add_argument("--out", type=Path, help="also write the figures with each failure to this file")
    given = parser.parse_args()
    if os.geteuid() != 0:
        sys.exit("collisions: run it as root: it makes and removes real Unix users")
    failures, cases, started = [], 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cd-collide-") as place:
        Path(place).chmod(0o711)
        box = sandboxes.create(f"{place}/box")
        try:
            box.start()
            add_source(box, "sample")
            rig = HostRig(box)
            for case in CASES:
                ways = [before_the_plan] if case.title in KEPT_BESIDE else [before_the_plan, between_probe_and_act]
                for way in ways:
                    cases += 1
                    if changed := way(rig, case, f"c{cases}"):
                        failures.append({"case": case.title, "moment": way.__name__, "changed": changed})
        finally:
            box.stop()
    for failure in failures:
        print("FAILURE", failure)
    figures = {"cases": cases, "foreign_changes": len(failures), "seconds": round(time.monotonic() - started, 1)}
    if given.out:
        given.out.write_text(json.dumps({**figures, "failures": failures}, indent=1) + "\n")
    print(json.dumps(figures))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
