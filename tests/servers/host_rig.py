"""A host on a sandbox, driven run by run as the host worker drives it, without a dispatcher."""

import secrets
import shutil
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from central_dispatch.host.identity import machine_id
from central_dispatch.host.journal_file import Begin, JournalFile, Writing
from central_dispatch.host.planner import Planned, Planner
from central_dispatch.host.reserve import Reserve
from central_dispatch.host.settings import Home, HostSettings, set_values
from central_dispatch.host.site import Choices, site_of
from central_dispatch.host.vault import FileVault
from central_dispatch.platforms.linux import build_host
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import Order
from central_dispatch.provisioning.saga import Saga, Standing
from central_dispatch.provisioning.spec import InstanceSpec

WORDPRESS = Path("/usr/share/wordpress")


def add_source(sandbox: Sandbox, kind: str, release: str = "", tree: Path | None = None) -> None:
    """Register a shipped manifest as a source, with the release that it brings or a given tree. Idempotent."""
    shipped = Path(str(resources.files("central_dispatch.manifests").joinpath(kind)))
    target = sandbox.sources_directory / kind
    if not target.exists():
        shutil.copytree(shipped, target)
    if tree and not (target / "releases" / release).exists():
        # Debian's WordPress has links out of its tree: a release holds what they lead to.
        shutil.copytree(tree, target / "releases" / release, symlinks=False)
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


@dataclass
class HostRig:
    """Planner, ports, vault and journals of one host."""

    sandbox: Sandbox
    vault: FileVault = field(init=False)
    host: Host = field(init=False)
    planner: Planner = field(init=False)
    # Part of every name, so that nothing that another test or an older run left on the machine is in the way.
    token: str = field(default_factory=lambda: secrets.token_hex(2))

    def __post_init__(self) -> None:
        box = self.sandbox
        self.vault = FileVault(box.state_directory / "vault")
        self.host = build_host(
            box.layout, vault=self.vault, state_directory=str(box.state_directory), database=box.database
        )
        pools = box.directory / "pools"
        pools.mkdir(mode=0o755, exist_ok=True)
        choices = Choices(str(pools), default_certificate=str(box.certificate), default_key=str(box.key))
        self.planner = Planner(self.host, site_of(self.host, box.layout, choices), str(box.sources_directory))

    def spec(self, name: str, source: str = "sample", release: str = "1.0.0", **changes: Any) -> InstanceSpec:
        """Return what the portal would send for an instance whose name begins like that."""
        name = f"{name}{self.token}"
        values = {
            "id": secrets.token_hex(16),
            "name": name,
            "hostnames": [f"{name}.{self.sandbox.domain}"],
            "source": source,
            "release": release,
            "web_root": name,
            "database": name.replace("-", "_"),
            "database_user": name.replace("-", "_"),
            "admin_email": "admin@example.com",
        }
        return InstanceSpec.model_validate(values | changes)

    def plan(self, kind: Any, spec: InstanceSpec, items: tuple[str, ...] = ()) -> tuple[str, Planned | list[Problem]]:
        """Plan as the host worker does; return the run's id with the result."""
        order = Order(run=secrets.token_hex(16), kind=kind, spec=spec, items=items)
        return order.run, self.planner.plan(order)

    def begin(self, kind: Any, spec: InstanceSpec, items: tuple[str, ...] = ()) -> Saga:
        """Plan, make the secrets, begin the journal."""
        run, planned = self.plan(kind, spec, items)
        assert isinstance(planned, Planned), [str(problem) for problem in planned]
        self.vault.make(spec.id, planned.secrets)
        return Saga(self.host, self.journal(run, planned))

    def journal(self, run: str, planned: Planned) -> JournalFile:
        """Begin the run's journal."""
        directory = self.sandbox.state_directory / "journal"
        directory.mkdir(mode=0o700, exist_ok=True)
        begin = Begin(run=run, machine=machine_id(self.sandbox.state_directory), session=1, plan=planned.plan)
        return JournalFile.create(directory / f"{run}.jsonl", begin, self.writing())

    def writing(self) -> Writing:
        """Return what the rig's journals are written with."""
        return Writing(Reserve(self.sandbox.state_directory / "reserve"), self.vault.mask)

    def home(self) -> Home:
        """Return the home of a real host worker of this host, its settings written."""
        box = self.sandbox
        home = Home(box.directory / "state" / "home")
        home.settings_path.parent.mkdir(mode=0o700, exist_ok=True)
        values = {
            "layout": "sandbox",
            "sandbox_directory": str(box.directory),
            "state_directory": str(box.state_directory),
            "sources_directory": str(box.sources_directory),
            "pool_directory": str(box.directory / "pools"),
            "default_certificate": str(box.certificate),
            "default_key": str(box.key),
        }
        written = set_values(home, values)
        assert isinstance(written, HostSettings), written
        return home

    def deploy(self, spec: InstanceSpec) -> Standing:
        """Deploy to the end."""
        return self.begin("deploy", spec).carry_on()

    def delete(self, spec: InstanceSpec) -> Standing:
        """Delete to the end."""
        return self.begin("delete", spec).carry_on()

    def get(self, hostname: str, path: str = "/") -> tuple[int, str]:
        """Ask the sandbox's web server as a visitor would."""
        answer = self.host.web.get(hostname, path)
        return answer.status, answer.body.decode()
