"""A handler that starts what a careless transcoder starts: a pipe of ffmpegs, and processes that try to get away."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from central_dispatch.jobs.handling import Attempt
from central_dispatch.jobs.outcome import Done, Outcome
from central_dispatch.worker import process_tree

#: In the environment of all that a job of one run starts.
RUN = "CENTRAL_DISPATCH_TEST_RUN"
#: How many processes a job has below its child once it stands.
PROCESSES = 5
_SLEEP = "/bin/sleep"
#: Ten minutes in real time, one picture a second: it lasts, and leaves the machine to others.
_SOURCE = ("-re", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=1:duration=600")
#: A double fork in sessions of its own: by then its parent is whoever adopts orphans.
_AWAY = """
import os
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execvp("sleep", ["sleep", "600"])
    os._exit(0)
os.wait()
"""


def transcode(payload: Mapping[str, Any], attempt: Attempt) -> Outcome:
    """Start all of it and wait for the result, deaf to every wish; `stubborn` to SIGTERM, too."""
    environment = {**os.environ, RUN: payload["run"]}
    if payload["stubborn"]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    quiet = ["ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error"]
    reading = subprocess.Popen(
        [*quiet, *_SOURCE, "-f", "rawvideo", "-"], env=environment, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    )
    writing = subprocess.Popen(
        [*quiet, "-f", "rawvideo", "-s", "160x120", "-i", "-", "-f", "null", "-"], env=environment, stdin=reading.stdout
    )
    # What is ignored stays ignored over exec.
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.Popen([_SLEEP, "600"], env=environment)
    signal.signal(signal.SIGTERM, before)
    subprocess.Popen([_SLEEP, "600"], env=environment, start_new_session=True)
    subprocess.run([sys.executable, "-c", _AWAY], env=environment, check=True)
    Path(payload["ready"], str(attempt.job)).touch()
    writing.wait()
    time.sleep(600)  # it does not even notice that its ffmpegs were ended
    return Done()


def living(run: str) -> dict[str, list[process_tree.Seen]]:
    """Return what lives of a run, by the attempt that started it."""
    found: dict[str, list[process_tree.Seen]] = {}
    for pid in process_tree.every_pid():
        environment = process_tree.environment(pid)
        if environment.get(RUN) == run and (seen := process_tree.look_at(pid)) and seen.lives:
            found.setdefault(environment.get("CENTRAL_DISPATCH_ATTEMPT", ""), []).append(seen)
    return found


def still_there(seen: process_tree.Seen) -> bool:
    """Say whether the very process that was seen still lives."""
    now = process_tree.look_at(seen.pid)
    return now is not None and now.lives and now.started == seen.started


class Endings:
    """Watches processes end. Times are from the monotonic clock, at the latest possible moment."""

    def __init__(self, jobs: Mapping[int, list[process_tree.Seen]]) -> None:
        self._left = {job: list(seen) for job, seen in jobs.items()}
        self.gone_at: dict[int, float] = {}

    def look(self) -> bool:
        """Look once; true when nothing is left."""
        for job, seen in list(self._left.items()):
            self._left[job] = [each for each in seen if still_there(each)]
            if not self._left[job]:
                del self._left[job]
                self.gone_at[job] = time.monotonic()
        return not self._left
