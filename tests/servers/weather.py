"""What bad weather is made of: sources that misbehave, a load of requests, journals that do something at a line."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central_dispatch.host.journal_file import JournalFile
from central_dispatch.host.planner import Planned
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.journal import Entry, Kind
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.saga import Saga
from central_dispatch.provisioning.spec import InstanceSpec
from servers.host_rig import HostRig
from servers.own_lines import PREFIX

MANIFEST = """
name = "Weather"
[install]
argv = ["/bin/sh", "{{source}}/install.sh"]
timeout_s = {timeout_s}
[health]
path = "/"
contains = "fine weather"
"""


def make_source(box: Sandbox, name: str, install: str, timeout_s: float = 30) -> str:
    """Register a source whose install command is that shell script; return its name."""
    directory = box.sources_directory / name
    tree = directory / "releases" / "1.0.0"
    tree.mkdir(parents=True, exist_ok=True)
    (directory / "portal.toml").write_text(MANIFEST.format(timeout_s=timeout_s))
    (directory / "install.sh").write_text(install)
    (tree / "index.php").write_text("<?php echo 'fine weather';")
    for path in (directory, *directory.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return name


@dataclass
class Load:
    """Requests of visitors to one page, two at a time, some fifty a second; counts what failed."""

    rig: HostRig
    hostname: str
    path: str = "/healthz"
    contains: str = '"status":"ok"'
    asked: int = 0
    failed: list[str] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Ask as long as the block lasts, and once before and after it at least."""
        over = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(over,)) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            # What a reload breaks shows a moment later.
            time.sleep(1.2)
            over.set()
            for thread in threads:
                thread.join()

    def _ask(self, over: threading.Event) -> None:
        while not over.is_set():
            try:
                status, body = self.rig.get(self.hostname, self.path)
                if status != 200 or self.contains not in body:
                    self.failed.append(f"{status}: {body[:80]}")
            except HostError as error:
                self.failed.append(str(error))
            self.asked += 1
            over.wait(0.03)


class Watching(JournalFile):
    """A journal that calls back after each line."""

    def __init__(self, rig: HostRig, run: str, instance: str, seen: Callable[[Entry], None]) -> None:
        path = rig.sandbox.state_directory / "journal" / f"{run}.jsonl"
        super().__init__(path, run, instance, rig.writing())
        self._seen = seen

    def append(self, kind: Kind, step: int = -1, data: dict[str, Any] | None = None) -> Entry:
        """Append, then call back; a line that was not written calls nobody."""
        before = len(self.entries())
        entry = super().append(kind, step, data)
        if len(self.entries()) > before:
            self._seen(entry)
        return entry


def watched(
    rig: HostRig,
    spec: InstanceSpec,
    seen: Callable[[str, str], None],
    wish: Callable[[], Problem | None] = lambda: None,
) -> Saga:
    """Begin a deployment that calls `seen(kind of the line, name of the step)` after each line."""
    run, planned = rig.plan("deploy", spec)
    assert isinstance(planned, Planned), [str(problem) for problem in planned]
    rig.vault.make(spec.id, planned.secrets)
    rig.journal(run, planned).close()
    steps = planned.plan.steps

    def told(entry: Entry) -> None:
        name = steps[entry.step].name if entry.step >= 0 and not entry.kind.startswith("tail") else ""
        seen(entry.kind, name)

    return Saga(rig.host, Watching(rig, run, spec.id, told), wish)


def fresh(rig: HostRig, source: str = "sample", release: str = "1.0.0", **changes: Any) -> InstanceSpec:
    """Return an instance with a name that no other has."""
    number = time.monotonic_ns() % 10**9
    return rig.spec(changes.pop("name", f"{PREFIX}{number}"), source, release, **changes)


def journal_of(saga: Saga, rig: HostRig) -> Path:
    """Return where a saga's journal lies."""
    return rig.sandbox.state_directory / "journal" / f"{saga.state.run}.jsonl"
