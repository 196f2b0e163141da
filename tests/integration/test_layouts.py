"""Layouts other than the sandbox's own, each on a real Apache 2.4: Red Hat's, Debian's bare tree, and 2.2 syntax.

What Debian lacks is played by a recorder and named so: `restorecon`, which on Red Hat gives SELinux contexts.
"""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from central_dispatch.host.planner import Planned, Planner
from central_dispatch.host.prepare import prepare
from central_dispatch.host.site import Choices, site_of
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.platforms.layouts import DEBIAN, RED_HAT, Layout
from central_dispatch.platforms.linux import build_host
from central_dispatch.platforms.mariadb import DatabaseAccess, MariaDb
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.saga import Saga
from central_dispatch.provisioning.site import Site
from central_dispatch.provisioning.steps.virtual_host import VirtualHost
from servers.fingerprint import difference, fingerprint
from servers.host_rig import HostRig, add_source
from servers.places import passable_directory

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real Unix users")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def rig(sandbox: Sandbox) -> HostRig:
    add_source(sandbox, "sample")
    add_source(sandbox, "static", "1", ROOT / "tests" / "servers" / "static_site")
    return HostRig(sandbox)


def planner_for(rig: HostRig, layout: Layout) -> Planner:
    choices = Choices(
        pool_directory=str(rig.sandbox.directory / "pools"),
        default_certificate=str(rig.sandbox.certificate),
        default_key=str(rig.sandbox.key),
    )
    return Planner(rig.host, site_of(rig.host, layout, choices), str(rig.sandbox.sources_directory))


def test_red_hats_layout_has_its_vhosts_live_in_conf_d_and_labels_each_new_path(rig: HostRig, passable: Path) -> None:
    recorded, recorder = passable / "recorded", passable / "restorecon-recorder"
    recorder.write_text(f'#!/bin/sh\necho "$@" >>{recorded}\n')
    recorder.chmod(0o755)
    layout = replace(
        rig.sandbox.layout,
        name=RED_HAT.name,
        vhost_directory=rig.sandbox.layout.vhost_enabled,
        vhost_enabled=RED_HAT.vhost_enabled,
    )
    rig.host = replace(rig.host, files=PosixFiles((str(recorder), *RED_HAT.relabel_argv[1:]), selinux=str(recorder)))
    rig.planner = planner_for(rig, layout)
    before = fingerprint(rig.sandbox)
    spec = rig.spec("hat")
    assert rig.deploy(spec) == "committed"
    assert '"database":' in rig.get(spec.hostnames[0], "/healthz")[1]
    labelled = recorded.read_text().splitlines()
    assert "-R -F" in labelled[0]
    assert any(f"-{spec.name}.conf." in line for line in labelled)
    assert rig.delete(spec) == "committed"
    assert difference(before, fingerprint(rig.sandbox)) == []


def test_the_vhost_for_apache_2_2_is_understood_by_a_server_that_knows_its_words(rig: HostRig, passable: Path) -> None:
    site: Site = replace(site_of(rig.host, rig.sandbox.layout, choices_of(rig)), web_server_version=(2, 2))
    rig.planner = Planner(rig.host, site, str(rig.sandbox.sources_directory))
    spec = rig.spec("old", "static", "1")
    _, planned = rig.plan("plan", spec)
    assert isinstance(planned, Planned), planned
    vhost = next(step for step in planned.plan.steps if isinstance(step, VirtualHost))
    assert "Order allow,deny" in vhost.text
    assert "Require all" not in vhost.text
    # The directories that it names exist only in a deployment; mod_access_compat lets a 2.4 server read its words.
    candidate = passable / "old.conf"
    candidate.write_text(vhost.text.replace(f"{rig.sandbox.layout.install_path}/{spec.name}/log", str(passable)))
    assert rig.host.web.test(str(candidate)) is None
    candidate.write_text(candidate.read_text().replace("Order allow,deny", "Order allow,never"))
    assert rig.host.web.test(str(candidate)) is not None


def choices_of(rig: HostRig) -> Choices:
    box = rig.sandbox
    return Choices(str(box.directory / "pools"), default_certificate=str(box.certificate), default_key=str(box.key))


class BareDebian:
    """A copy of Debian's own tree as the package leaves it, with the machine's Apache to read it."""

    def __init__(self, place: Path, box: Sandbox) -> None:
        self.tree = place / "apache2"
        shutil.copytree("/etc/apache2", self.tree, symlinks=True)
        for link in (*(self.tree / "mods-enabled").glob("ssl.*"), *(self.tree / "mods-enabled").glob("proxy*")):
            link.unlink()
        envvars = {"RUN_USER": "www-data", "RUN_GROUP": "www-data", "PID_FILE": f"{place}/pid", "RUN_DIR": str(place)}
        envvars |= {"LOCK_DIR": str(place), "LOG_DIR": str(place)}
        (self.tree / "envvars").write_text("".join(f"export APACHE_{key}={value}\n" for key, value in envvars.items()))
        program = place / "apache2ctl"
        program.write_text(f'#!/bin/sh\nAPACHE_CONFDIR={self.tree} exec /usr/sbin/apache2ctl "$@"\n')
        program.chmod(0o755)
        (place / "state").mkdir(mode=0o700)
        self.layout = replace(
            DEBIAN,
            install_path=f"{place}/www",
            vhost_directory=f"{self.tree}/sites-available",
            vhost_enabled=f"{self.tree}/sites-enabled",
            certificate_directory=f"{place}/certificates",
            archive_directory=f"{place}/var/archives",
            runtime_directory=f"{place}/run",
            web_argv=(str(program),),
            reload_argv=(str(program), "graceful"),
            pid_file=f"{place}/pid",
            modules_available=f"{self.tree}/mods-available",
            modules_enabled=f"{self.tree}/mods-enabled",
            snippet_directory=f"{self.tree}/conf-enabled",
        )
        self.host: Host = build_host(
            self.layout, vault=HostRig(box).vault, state_directory=f"{place}/state", database=DatabaseAccess()
        )
        choices = Choices(f"{place}/pools", default_certificate=str(box.certificate), default_key=str(box.key))
        self.site = site_of(self.host, self.layout, choices)
        self.sources = f"{place}/sources"

    def plan(self) -> Plan:
        found = prepare(self.host, self.layout, self.site, self.sources)
        assert isinstance(found, Plan), found
        return found

    def listing(self) -> list[str]:
        return sorted(f"{path.relative_to(self.tree.parent)} {path.lstat().st_mode:o}" for path in self._all())

    def _all(self) -> Iterator[Path]:
        return (path for path in self.tree.parent.rglob("*") if "state" not in path.parts)


@pytest.fixture
def bare(sandbox: Sandbox) -> Iterator[BareDebian]:
    with passable_directory() as place:
        yield BareDebian(place, sandbox)


def run(rig: HostRig, bare: BareDebian, plan: Plan) -> Saga:
    planned = rig.plan("deploy", rig.spec("unused"))[1]
    assert not isinstance(planned, list)
    return Saga(bare.host, rig.journal(os.urandom(16).hex(), replace(planned, plan=plan)))


def test_a_bare_debian_gets_what_it_lacks_and_then_lacks_nothing(rig: HostRig, bare: BareDebian) -> None:
    assert bare.host.web.test() is None
    plan = bare.plan()
    titles = {step.title for step in plan.steps}
    assert {
        f"Directory {bare.site.install_path}",
        "Web server module ssl.load",
        "Web server module proxy_fcgi.load",
    } <= titles
    assert run(rig, bare, plan).carry_on() == "committed"
    assert bare.host.web.test() is None
    assert "central-dispatch.invalid" in bare.host.web.hostnames()
    assert bare.plan().steps == ()


def test_a_preparation_that_fails_leaves_the_tree_as_it_was(rig: HostRig, bare: BareDebian) -> None:
    before = bare.listing()
    plan = bare.plan()
    last = plan.steps[-2]
    assert isinstance(last, VirtualHost)
    broken = last.model_copy(update={"text": "NoSuchDirective on\n"})
    saga = run(rig, bare, replace(plan, steps=(*plan.steps[:-2], broken, plan.steps[-1])))
    assert saga.carry_on() == "backed_out"
    assert saga.state.backing_out is not None
    assert "NoSuchDirective" in saga.state.backing_out.why
    assert bare.listing() == before


def test_the_default_certificate_may_be_a_link_as_certbot_lays_them(rig: HostRig, passable: Path) -> None:
    live, archive = passable / "live", passable / "archive"
    live.mkdir()
    archive.mkdir()
    for name, source in (("cert", rig.sandbox.certificate), ("key", rig.sandbox.key)):
        shutil.copy(source, archive / f"{name}1.pem")
        (live / f"{name}.pem").symlink_to(f"../archive/{name}1.pem")
    choices = replace(choices_of(rig), default_certificate=f"{live}/cert.pem", default_key=f"{live}/key.pem")
    site = site_of(rig.host, rig.sandbox.layout, choices)
    rig.planner = Planner(rig.host, site, str(rig.sandbox.sources_directory))
    spec = rig.spec("linked", "static", "1")
    assert rig.deploy(spec) == "committed"
    assert rig.get(spec.hostnames[0], "/")[0] == 200
    assert rig.delete(spec) == "committed"


def test_a_host_without_a_database_server_carries_and_deletes_a_static_site(rig: HostRig, passable: Path) -> None:
    rig.host = replace(rig.host, databases=MariaDb(DatabaseAccess(socket=f"{passable}/nobody-listens.sock")))
    rig.planner = planner_for(rig, rig.sandbox.layout)
    before = fingerprint(rig.sandbox)
    spec = rig.spec("plain", "static", "1")
    assert rig.deploy(spec) == "committed"
    assert rig.delete(spec) == "committed"
    assert difference(before, fingerprint(rig.sandbox)) == []
