"""A queue worker whose thread stands still, or has died, ends by itself; the next one takes its jobs over."""

import json
import os
import subprocess
import sys

import pytest

from central_dispatch.worker.watchdog import EXIT_CODE
from queue_workers.rig import PATIENCE_S, TESTS, Rig

#: A queue worker whose store holds the thread of one call for ever, or kills it.
_WORKER = """
import json, logging, sys, threading
from pathlib import Path
from central_dispatch.worker.execute import Setup, run
from central_dispatch.worker.executions import Executions
from central_dispatch.worker.parent import Wishes
from central_dispatch.worker.timing import Timing
from queue_workers.handlers import KINDS
from queue_workers.rig import open_broker, open_store

given = json.loads(sys.argv[1])
directory = Path(given["directory"])
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
store, broker = open_store(directory), open_broker(directory)

def hang(*_):
    threading.Event().wait()

def die(*_):
    raise SystemExit

fault = die if given["dies"] else hang
if given["what"] == "loop":
    Executions.begin = fault
else:
    setattr(store, given["what"], fault)
timing = Timing(beat_s=0.1, look_s=0.1, stuck_s=2.0)
setup = Setup(directory=directory / "work", kinds=KINDS, timing=timing)
run(store, broker, ("no-op",), 1, Wishes(), setup)
"""


@pytest.mark.parametrize(
    ("what", "dies", "name"),
    [
        ("claim", False, "the clerk"),
        ("claim", True, "the clerk"),
        ("beat", False, "the beat"),
        ("loop", False, "the main loop"),
    ],
)
def test_a_worker_that_no_longer_works_ends_and_its_successor_does_the_job(
    rig: Rig, what: str, dies: bool, name: str  # noqa: FBT001 a parameter of the test
) -> None:  # fmt: skip
    [job] = rig.enqueue("no-op")
    given = {"directory": str(rig.directory), "what": what, "dies": dies}
    ended = subprocess.run(
        [sys.executable, "-c", _WORKER, json.dumps(given)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ended.returncode == EXIT_CODE, ended.stderr
    assert f"{name} has not turned for 2 s: this process ends" in ended.stderr
    assert "Current thread" in ended.stderr, "where each thread stood is in the log"
    rig.run_empty("no-op")
    assert rig.job(job)["state"] == "finished"
