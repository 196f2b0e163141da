"""A queue worker as a process: `python -m queue_workers.parent_main DIRECTORY JSON`."""

import json
import logging
import signal
import sys
from pathlib import Path

from central_dispatch.worker.execute import Setup, run
from central_dispatch.worker.parent import Wishes
from central_dispatch.worker.timing import Recycling, Timing
from queue_workers import clock
from queue_workers.handlers import KINDS
from queue_workers.rig import open_broker, open_store


def main() -> int:
    directory, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(threadName)s %(message)s")
    wishes = Wishes()

    def stop(*_: object) -> None:
        (wishes.hurry if wishes.stop.is_set() else wishes.stop).set()

    signal.signal(signal.SIGTERM, stop)
    clock.shift()
    setup = Setup(
        directory=directory / "work",
        kinds=KINDS,
        timing=Timing(**given["timing"]),
        recycling=Recycling(**given["recycling"]),
        assignment=given["assignment"],
        prepare=tuple(given["prepare"]),
    )
    queues = tuple(given["queues"] or KINDS)
    store, broker = open_store(directory), open_broker(directory)
    ended = run(store, broker, queues, given["slots"], wishes, setup, until_empty=given["until_empty"])
    broker.close()
    said = {"reason": ended.reason, "executions": ended.executions, "problem": str(ended.problem or "")}
    sys.stdout.write(json.dumps(said, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
