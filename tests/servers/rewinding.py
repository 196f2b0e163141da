"""A host that was restored from a copy: its journal, and whichever of its things, are older than the rest.

A copy taken in mid-run and the committed host differ in the marks alone: sealing is all that follows the
commit (`test_rewound_host` checks that on the real files). So a thing is restored by opening its mark again.
"""

import base64
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from central_dispatch.host import identity
from central_dispatch.host.identity import Identity
from central_dispatch.host.journal_file import read
from central_dispatch.host.machine import ConfiguredMachine
from central_dispatch.host.worker import HostWorker, open_vault
from central_dispatch.platforms.linux import build_host
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning import trust
from central_dispatch.provisioning.journal import Entry
from central_dispatch.provisioning.mark import Mark, State
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.plans import SEALED
from central_dispatch.provisioning.protocol import Wish
from central_dispatch.provisioning.saga import Saga
from central_dispatch.provisioning.spec import InstanceSpec
from central_dispatch.provisioning.step import Step
from central_dispatch.provisioning.steps.tls_files import PURPOSE
from servers.host_rig import HostRig, add_source
from servers.scripted_dispatcher import LIMIT_S, Notifying

WORKER = "1" * 32


class Opening(Mark):
    """A mark with open and sealed the other way round: sealing a thing with it opens its mark again."""

    @property
    def sealed(self) -> str:
        """The open mark."""
        return Mark(self.instance, self.run).open

    @property
    def open(self) -> str:
        """The sealed mark."""
        return Mark(self.instance, self.run).sealed

    def judge(self, text: str) -> State:
        """Call ours what is sealed."""
        return "ours" if self.open in text else "committed"


def enrolled_rig(box: Sandbox) -> HostRig:
    """Return a rig of a host that is enrolled, so that a key can be sealed to it; the sample is a source."""
    identity.save(box.state_directory, Identity("https://dispatcher.test", "pin", WORKER, "web1", "fp", "secret"))
    identity.make_sealing_key(box.state_directory)
    add_source(box, "sample")
    rig = HostRig(box)
    rig.vault = open_vault(box.state_directory)
    rig.host = build_host(box.layout, vault=rig.vault, state_directory=str(box.state_directory), database=box.database)
    return rig


def with_everything(rig: HostRig, name: str, **changes: Any) -> InstanceSpec:
    """Return an instance that has each thing that one can have: a certificate of its own, too."""
    spec = rig.spec(name, **changes)
    key = identity.make_sealing_key(rig.sandbox.state_directory)
    sealed = trust.seal(
        rig.sandbox.key.read_bytes(),
        key.public_key().public_bytes_raw(),
        purpose=PURPOSE,
        worker=WORKER,
        instance=spec.id,
    )
    own = {"kind": "own", "certificate": rig.sandbox.certificate.read_text(), "sealed_key": sealed}
    raw = spec.model_dump(mode="json") | {"tls": {**own, "sealed_key": base64.b64encode(sealed).decode()}}
    return InstanceSpec.model_validate(raw)


@dataclass
class Deployed:
    """A committed run, and its journal's lines as they were written."""

    rig: HostRig
    spec: InstanceSpec
    run: str
    lines: list[bytes]

    @property
    def path(self) -> Path:
        """Where its journal lies."""
        return self.rig.sandbox.state_directory / "journal" / f"{self.run}.jsonl"

    @property
    def plan(self) -> Plan:
        """The run's plan."""
        entry = self.entries()[0]
        return Plan.from_json(entry.data["plan"])

    def entries(self) -> list[Entry]:
        """Return the journal's entries, whatever was restored since."""
        return [entry for line in self.lines if (entry := Entry.from_line(line))]

    @property
    def commit(self) -> int:
        """How many lines come before the commit."""
        return [entry.kind for entry in self.entries()].index("commit")

    def after(self, kind: str, step: str) -> int:
        """Return how many lines there are up to the first one of that kind and step."""
        names = [one.name for one in self.plan.steps]
        for number, entry in enumerate(self.entries(), start=1):
            if entry.kind == kind and names[entry.step] == step:
                return number
        raise AssertionError((kind, step))

    def rewind(self, lines: int) -> None:
        """Restore a copy of the journal that was taken after so many lines."""
        self.path.write_bytes(b"".join(self.lines[:lines]))
        self.path.with_name(f"{self.run}.through").unlink(missing_ok=True)

    def sealed_steps(self) -> list[Step]:
        """Return the steps whose things bear marks of their own, one of each name."""
        return [step for step in self.plan.steps if isinstance(step, SEALED)]

    def restore(self, steps: Iterable[Step]) -> None:
        """Have the things of these steps bear what they bore before the commit."""
        for step in steps:
            step.seal(self.rig.host, Opening(self.spec.id, self.run))

    def seal_again(self) -> None:
        """Have everything bear its seal, as after the commit."""
        for step in self.sealed_steps():
            step.seal(self.rig.host, Mark(self.spec.id, self.run))


def carried_out(rig: HostRig, kind: str, spec: InstanceSpec, items: tuple[str, ...] = ()) -> Deployed:
    """Carry a run out to its commit and end."""
    saga: Saga = rig.begin(kind, spec, items)
    assert saga.carry_on() == "committed", [saga.state.backing_out, saga.state.stuck]
    path = rig.sandbox.state_directory / "journal" / f"{saga.state.run}.jsonl"
    assert len(read(path)) > 3
    return Deployed(rig, spec, saga.state.run, path.read_bytes().splitlines(keepends=True))


@dataclass
class Restarted:
    """A host worker that was started on a restored host."""

    dispatcher: Notifying
    stop: threading.Event = field(default_factory=threading.Event)

    def kinds(self, run: str) -> list[str]:
        """Return what was reported of a run."""
        return [event.kind for event in self.dispatcher.events.get(run, [])]

    def await_kind(self, run: str, *kinds: str) -> str:
        """Wait until one of these was reported of the run last; return which."""
        self._await(lambda: bool(self.kinds(run)) and self.kinds(run)[-1] in kinds, run)
        return self.kinds(run)[-1]

    def _await(self, fact: Callable[[], bool], run: str, limit_s: float = LIMIT_S) -> bool:
        with self.dispatcher.changed:
            met = self.dispatcher.changed.wait_for(fact, limit_s)
        assert met or limit_s < LIMIT_S, self.kinds(run)
        return met

    def said(self, run: str) -> str:
        """Return the last report's own words."""
        data = self.dispatcher.events[run][-1].data
        return " ".join(str(data.get(part, "")) for part in ("what", "why", "mend", "ending"))

    def wish(self, verb: str, run: str) -> None:
        """Have an administrator press a button; the dispatcher repeats it until the host says that it was heeded."""
        said = {"retry": "retry", "acknowledge": "acknowledged"}[verb]
        before = self.kinds(run).count(said)
        while True:
            with self.dispatcher.changed:
                self.dispatcher.wishes.append(Wish.model_validate({"run": run, "verb": verb, "by": "ada"}))
                self.dispatcher.changed.notify_all()
            if self._await(lambda: self.kinds(run).count(said) > before, run, limit_s=0.5):
                return


@contextmanager
def restarted(rig: HostRig, prepare: Callable[[], None] = lambda: None) -> Iterator[Restarted]:
    """Start a host worker on the host as it is, against a scripted dispatcher; it is stopped in the end."""
    prepare()
    found = Restarted(Notifying())
    vault = open_vault(rig.sandbox.state_directory)
    machine = ConfiguredMachine(rig.home(), vault)
    worker = HostWorker(rig.sandbox.state_directory, vault, machine, connect=lambda _identity: found.dispatcher)
    thread = threading.Thread(target=worker.serve, args=(found.stop,), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.stop.set()
        with found.dispatcher.changed:
            found.dispatcher.closed = True
            found.dispatcher.changed.notify_all()
        thread.join(LIMIT_S)
        assert not thread.is_alive()
