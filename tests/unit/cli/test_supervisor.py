"""The supervisor with real processes: small Python programs that say what happens to them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from central_dispatch.cli.supervisor import LONGEST_PAUSE_S, Supervisor, pause_before

# Notes its start in a file; notes SIGTERM there, too, and ends.
CHILD = """
import os, signal, sys, time
def note(word):
    with open(sys.argv[1], "a") as file:
        file.write(f"{sys.argv[2]} {word} {os.getpid()}\\n")
def stop(*_):
    note("stopped"); sys.exit(0)
signal.signal(signal.SIGTERM, stop)
note("started")
while True: time.sleep(0.05)
"""


def child(log: Path, name: str) -> list[str]:
    return [sys.executable, "-c", CHILD, str(log), name]


def lines(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def wait_for(ready: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_pauses_between_restarts_double_up_to_a_limit() -> None:
    assert [pause_before(number) for number in (1, 2, 3, 20)] == [1, 2, 4, LONGEST_PAUSE_S]


def test_children_stop_in_the_opposite_order_of_their_start(tmp_path: Path) -> None:
    log, supervisor = tmp_path / "log", Supervisor(lambda _text: None)
    for name in ("first", "second"):
        supervisor.start(name, child(log, name))
        wait_for(lambda name=name: [name, "started"] in [line[:2] for line in lines(log)])  # type: ignore[misc] # bound early
    supervisor.stop()
    assert [line[:2] for line in lines(log)[2:]] == [["second", "stopped"], ["first", "stopped"]]


def test_a_child_that_dies_is_started_again_and_said_so(tmp_path: Path) -> None:
    log, said = tmp_path / "log", list[str]()
    supervisor = Supervisor(said.append)
    supervisor.start("worker", child(log, "worker"))
    watching = threading.Thread(target=supervisor.watch)
    watching.start()
    try:
        wait_for(lambda: len(lines(log)) == 1)
        os.kill(int(lines(log)[0][2]), signal.SIGKILL)
        wait_for(lambda: len(lines(log)) == 2)
    finally:
        supervisor.stopping.set()
        watching.join()
        supervisor.stop()
    assert said[0] == "worker ended with -9; it is started again in 1 s"
    assert lines(log)[-1][1] == "stopped"


def test_a_killed_supervisor_leaves_no_child_behind(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import sys; from central_dispatch.cli.supervisor import Supervisor;"
        "s = Supervisor(print); s.start('worker', sys.argv[1:]); s.watch()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, *child(log, "worker")])
    wait_for(lambda: len(lines(log)) == 1)
    process.kill()
    process.wait()
    wait_for(lambda: lines(log)[-1][1] == "stopped")
