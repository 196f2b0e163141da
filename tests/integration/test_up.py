"""`central-dispatch up` with all its real parts: dispatcher, host worker, and a sandbox's Apache and MariaDB."""

import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

COMMAND = [sys.executable, "-m", "central_dispatch"]


def wait_for(ready: Callable[[], bool], seconds: float = 120.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def home() -> Iterator[Path]:
    """A short, passable place: sockets have short names, and the servers run as users of their own."""
    place = Path(tempfile.mkdtemp(prefix="cd-up-"))
    place.chmod(0o711)
    yield place
    subprocess.run([*COMMAND, "--home", str(place), "sandbox", "stop"], check=False, capture_output=True)
    shutil.rmtree(place)


class Up:
    """One `up`; its events come from a file, so that it may outlive whoever reads it."""

    def __init__(self, home: Path, port: int, name: str) -> None:
        self.home, self._events = home, home / f"{name}.events"
        with self._events.open("wb") as events, (home / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "--home", str(home), "up", "--port", str(port), "--json"],
                stdout=events,
                stderr=log,
                start_new_session=True,
            )

    def events(self) -> dict[str, dict[str, Any]]:
        lines = [line for line in self._events.read_text().splitlines() if line.startswith("{")]
        return {event["event"]: event for event in map(json.loads, lines)}

    def wait_ready(self) -> dict[str, Any]:
        wait_for(lambda: "ready" in self.events() or self.process.poll() is not None)
        assert "ready" in self.events(), self._events.with_suffix(".log").read_text()[-2000:]
        return self.events()["ready"]

    def children(self, word: str) -> list[int]:
        found = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(path.read_text().rpartition(")")[2].split()[1])
                command = (path.parent / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if parent == self.process.pid and word in command:
                found.append(int(path.parent.name))
        return found


def processes_below(home: Path) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if str(home) in command:
            found.append(command)
    return found


def answers(url: str, home: Path) -> bool:
    context = ssl.create_default_context(cafile=str(home / "dispatcher/tls/certificate.pem"))
    try:
        with urllib.request.urlopen(f"{url}/healthz", context=context, timeout=5) as answer:  # noqa: S310 always https
            return bool(answer.status == 200)
    except OSError:
        return False


def call(home: Path, *arguments: str) -> Any:
    done = subprocess.run(
        [*COMMAND, "--home", str(home), *arguments, "--json"], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_up_from_nothing_restarts_what_dies_survives_its_own_kill_and_stops_everything(home: Path) -> None:
    port = free_port()
    up = Up(home, port, "first")
    ready = up.wait_ready()
    assert len(up.events()["administrator"]["password"]) >= 16
    [worker] = call(home, "worker", "list", "--hosts")
    assert (worker["name"], worker["online"]) == ("localhost", True)
    assert [source["name"] for source in call(home, "source", "list")] == ["sample"]

    second = subprocess.run([*COMMAND, "--home", str(home), "up", "--json"], capture_output=True, check=False)
    assert second.returncode == 75

    [dispatcher] = up.children("serve")
    os.kill(dispatcher, signal.SIGKILL)
    wait_for(lambda: up.children("serve") not in ([], [dispatcher]) and answers(ready["url"], home))

    [queue_worker] = up.children("execute")
    os.kill(queue_worker, signal.SIGKILL)
    wait_for(lambda: up.children("execute") not in ([], [queue_worker]))
    wait_for(lambda: [job["state"] for job in call(home, "job", "list", "--state", "finished")] != [])

    up.process.kill()
    up.process.wait()
    again = Up(home, port, "second")
    again.wait_ready()
    assert "administrator" not in again.events(), "the password is shown once"
    [same] = call(home, "worker", "list", "--hosts")
    assert same["id"] == worker["id"]

    again.process.send_signal(signal.SIGTERM)
    assert again.process.wait(timeout=120) == 0
    wait_for(lambda: processes_below(home) == [], 20)
