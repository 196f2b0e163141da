"""The host worker's real program on real servers, against a scripted dispatcher over HTTPS."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from central_dispatch import manifests
from central_dispatch.host import identity
from central_dispatch.host.identity import Identity
from central_dispatch.host.settings import Home, set_values
from central_dispatch.host.sources import Added, add_source
from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import Order
from servers.fingerprint import difference, fingerprint
from servers.places import passable_directory
from servers.scripted_dispatcher import Notifying, hex_id, over_https

LIMIT_S = 60
# Its own, so that nothing that an older run left on the machine is in the way.
NAME = f"acme{secrets.token_hex(2)}"


@dataclass
class Program:
    """A home with a sandbox, and the host worker as a process of its own."""

    box: Sandbox
    home: Path
    dispatcher: Notifying
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *more: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-m", "central_dispatch", "worker", "host", *more],
            env={**os.environ, "CENTRAL_DISPATCH_HOME": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.communicate()

    def order(self, number: int, kind: str = "deploy", name: str = NAME, instance: int = 7) -> Order:
        spec = {
            "id": hex_id(instance),
            "name": name,
            "hostnames": [f"{name}.{self.box.domain}"],
            "source": "sample",
            "release": "1.0.0",
            "web_root": name,
            "database": name,
            "database_user": name,
            "admin_email": "admin@example.com",
        }
        return Order.model_validate({"run": hex_id(number), "kind": kind, "spec": spec})


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with passable_directory() as place:
        made = sandboxes.create(str(place / "box"))
        try:
            made.start()
            yield made
        finally:
            made.stop()


@pytest.fixture
def program(box: Sandbox, tmp_path: Path) -> Iterator[Program]:
    home = Home(tmp_path)
    chosen = set_values(
        home,
        {
            "layout": "sandbox",
            "sandbox_directory": str(box.directory),
            "state_directory": str(box.state_directory),
            "sources_directory": str(box.sources_directory),
            "default_certificate": str(box.certificate),
            "default_key": str(box.key),
        },
    )
    assert not isinstance(chosen, Problem), chosen
    if not (box.sources_directory / "sample").exists():
        shipped = manifests.directory("sample")
        tree = shipped / "releases" / "1.0.0"
        assert isinstance(add_source(box.sources_directory, "sample", shipped, tree, "1.0.0"), Added)
    # The host's own place, made at the first start: no part of an instance.
    (box.directory / "pools").mkdir(mode=0o755, exist_ok=True)
    dispatcher = Notifying()
    with over_https(dispatcher, tmp_path) as (url, pin):
        enrolled = Identity(url, pin, hex_id(1), "web1", "fingerprint", "credential")
        identity.save(box.state_directory, enrolled)
        made = Program(box, tmp_path, dispatcher)
        try:
            yield made
        finally:
            made.end()
            for journal in (box.state_directory / "journal").glob("*.*"):
                journal.unlink()


def test_a_deployment_a_deletion_and_a_stop_by_signal(program: Program) -> None:
    before = fingerprint(program.box)
    worker = program.start()
    program.dispatcher.give(program.order(1))
    program.dispatcher.await_kind(1, "end", LIMIT_S)
    assert program.dispatcher.events[hex_id(1)][-1].data == {"ending": "committed"}
    facts = program.dispatcher.sessions[0].facts
    assert facts.web_server.startswith("Apache 2.")
    assert facts.database_server.startswith("MariaDB")
    assert facts.free_bytes > 0
    assert [source.releases for source in program.dispatcher.sessions[0].settings.sources] == [("1.0.0",)]
    assert difference(before, fingerprint(program.box)), "the fingerprint sees a deployment"
    program.dispatcher.give(program.order(2, "delete"))
    program.dispatcher.await_kind(2, "end", LIMIT_S)
    assert program.dispatcher.events[hex_id(2)][-1].data == {"ending": "committed"}
    assert difference(before, fingerprint(program.box)) == []
    worker.send_signal(signal.SIGTERM)
    said, _ = worker.communicate(timeout=LIMIT_S)
    assert worker.returncode == 0, said
    assert "Traceback" not in said


@pytest.mark.parametrize("title", [f"Database {NAME}", "Virtual host", "Health"])
def test_killed_in_mid_run_the_next_start_backs_out_and_a_retry_works_straight_away(
    program: Program, title: str
) -> None:
    before = fingerprint(program.box)
    worker = program.start()
    program.dispatcher.give(program.order(1))

    def reached() -> bool:
        events = program.dispatcher.events.get(hex_id(1), [])
        steps = [step["title"] for step in events[0].data["steps"]] if events else []
        return any(event.kind == "intent" and title.lower() in steps[event.step].lower() for event in events)

    program.dispatcher.await_that(reached, LIMIT_S)
    worker.kill()
    worker.wait()
    # The one-shot form recovers, reports, and is the retry, too.
    program.dispatcher.give(program.order(2))
    again = program.start("--once")
    said, _ = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, said
    if program.dispatcher.events[hex_id(1)][-1].data["ending"] == "committed":
        # The kill came after the commit: the deployment stands, and its names are taken.
        assert program.dispatcher.kinds(2) == ["refused"], said
    else:
        assert program.dispatcher.events[hex_id(2)][-1].data == {"ending": "committed"}, said
    program.dispatcher.give(program.order(3, "delete"))
    ended = program.start("--once")
    said, _ = ended.communicate(timeout=LIMIT_S)
    assert program.dispatcher.kinds(3)[-1] == "end", said
    assert difference(before, fingerprint(program.box)) == []


def test_a_second_host_worker_ends_cleanly_and_names_the_first(program: Program) -> None:
    first = program.start()
    program.dispatcher.await_that(lambda: bool(program.dispatcher.sessions), LIMIT_S)
    for more in ((), ("--once",)):
        second = program.start(*more)
        said, _ = second.communicate(timeout=LIMIT_S)
        assert second.returncode == 75
        assert str(first.pid) in said
    assert len(program.dispatcher.sessions) == 1
