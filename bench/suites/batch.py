"""One message becomes 100,000 jobs through `mainQueue`: how soon all are visible, and how many after kill -9.

First whole: from the message's commit until the last row can be read, by a real queue worker on a dispatcher's home,
and the longest time that the write gate was kept from another writer meanwhile. Then again and again with its child or
its parent killed at random moments: each time exactly that many must be there.

    bench/batch [--quick] [--children N] [--rounds N] [--kills N] [--seed N] [--out FILE]

The last line is JSON: children, visible_s, gate_ms (another writer's longest wait), killed, exact, load_before.
"""

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Self

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))

from central_dispatch.stores.gate import Gate, gate_path
from queue_workers.portal_rig import PortalRig, Splitting, message, split_under_fire


@contextmanager
def portal() -> Iterator[PortalRig]:
    """Make a home, and end what runs on it."""
    with tempfile.TemporaryDirectory(prefix="bench-batch-") as place:
        rig = PortalRig(Path(place))
        try:
            yield rig
        finally:
            rig.close()


class OtherWriter:
    """Asks for the write gate every few milliseconds, as a page's form would, and notes how long it waited."""

    def __init__(self, database: Path) -> None:
        self._gate = Gate(gate_path(database))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.longest_s = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._gate.close()

    def _run(self) -> None:
        while not self._over.wait(0.005):
            begun = time.monotonic()
            self._gate.enter()
            self._gate.leave()
            self.longest_s = max(self.longest_s, time.monotonic() - begun)


def whole(children: int) -> tuple[float, float]:
    """Split once without harm; returns the seconds until all can be seen, and another writer's longest wait."""
    with portal() as rig:
        rig.start("main-queue", slots=1)
        rig.until_state(message(rig, 1), "finished")  # the worker is warm, as it is in service
        with OtherWriter(rig.directory / "dispatch.sqlite3") as other:
            begun = time.monotonic()
            job = message(rig, children)
            rig.until_state(job, "finished")
            visible_s = time.monotonic() - begun
        [found] = rig.rows("SELECT count(*) AS n FROM job WHERE queue = 'no-op'")
        if found["n"] != children + 1:
            raise SystemExit(f"{found['n'] - 1} jobs were made of {children}")
    return visible_s, other.longest_s


def under_fire(children: int, rounds: int, kills: int, random: Random) -> Iterator[Splitting]:
    """Split again and again while processes are killed."""
    for number in range(rounds):
        with portal() as rig:
            found = split_under_fire(rig, children, kills, random)
        print(f"round {number + 1}: {found}", flush=True)
        yield found


def main() -> int:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--children", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    children = given.children or (10_000 if given.quick else 100_000)
    load = os.getloadavg()[0]
    visible_s, gate_s = whole(children)
    print(
        f"{children} visible after {visible_s:.2f} s; another writer waited {1000 * gate_s:.0f} ms at most", flush=True
    )
    rounds, kills = (1, 4) if given.quick else (5, 8)
    random = Random(given.seed)  # noqa: S311 moments
    fires = list(under_fire(children, given.rounds or rounds, given.kills or kills, random))
    result = {
        "children": children,
        "visible_s": round(visible_s, 2),
        "gate_ms": round(1000 * gate_s, 1),
        "killed": sum(sum(one.killed.values()) for one in fires),
        "exact": all(one.exact for one in fires),
        "load_before": round(load, 2),
    }
    if given.out:
        given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result))
    return 0 if result["exact"] else 1


if __name__ == "__main__":
    sys.exit(main())
