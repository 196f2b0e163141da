"""Neighbours serve on, whatever happens to another instance: under a load of requests, none of which may fail."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from central_dispatch.host.planner import Planner
from central_dispatch.host.site import SHIPPED_VHOST, Choices, shipped_template, site_of
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.spec import InstanceSpec
from servers.fingerprint import difference
from servers.host_rig import HostRig, add_source
from servers.own_lines import own_lines
from servers.weather import Load, fresh

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real Unix users")

MOVE_IT = "Move it to the web server's own configuration (ports.conf)."
SHIPPED = shipped_template(SHIPPED_VHOST).read_text()
BROKEN = {
    "an unknown directive": ("SSLEngine on", "SSLEngine on\n    NoSuchDirective on"),
    "a nonsensical value": ("SSLEngine on", "SSLEngine perhaps"),
    "an open section": ("<VirtualHost *:{{ https_port }}>", "<VirtualHost *:{{ https_port }}>\n    <Directory />"),
    "a certificate that is not there": ("{{ certificate }}", "/nowhere/at/all.pem"),
    "a key that is not there": ("{{ key }}", "/nowhere/at/all.key"),
    "a log directory that is not there": ("{{ web_root ~ '/log/error.log' }}", "/nowhere/at/all/error.log"),
    "a port of its own": ("<VirtualHost *:{{ http_port }}>", "Listen 127.0.0.1:1\n<VirtualHost *:{{ http_port }}>"),
}


@pytest.fixture(scope="module")
def rig(sandbox: Sandbox) -> HostRig:
    add_source(sandbox, "sample")
    return HostRig(sandbox)


@pytest.fixture(scope="module")
def neighbour(rig: HostRig) -> Iterator[InstanceSpec]:
    spec = fresh(rig)
    assert rig.deploy(spec) == "committed"
    yield spec
    assert rig.delete(spec) == "committed"


@contextmanager
def vhost_template(rig: HostRig, text: str) -> Iterator[None]:
    """Have the host's administrator replace the template of virtual hosts."""
    box, own = rig.sandbox, rig.planner
    path = box.directory / "state" / "vhost.j2"
    path.write_text(text)
    choices = Choices(
        str(box.directory / "pools"),
        vhost_template=str(path),
        default_certificate=str(box.certificate),
        default_key=str(box.key),
    )
    rig.planner = Planner(rig.host, site_of(rig.host, box.layout, choices), str(box.sources_directory))
    try:
        yield
    finally:
        rig.planner = own
        path.unlink()


@contextmanager
def live_names(rig: HostRig) -> Iterator[set[str]]:
    """Collect every name that appears in the web server's tree."""
    seen: set[str] = set()
    over = threading.Event()
    places = [Path(rig.sandbox.layout.vhost_directory), Path(rig.sandbox.layout.vhost_enabled)]

    def look() -> None:
        while not over.wait(0.001):
            seen.update(path.name for place in places for path in place.iterdir())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def test_an_invalid_virtual_host_is_found_before_it_is_live_and_no_request_to_a_neighbour_fails(
    rig: HostRig, neighbour: InstanceSpec
) -> None:
    before = own_lines(rig.sandbox)
    with Load(rig, neighbour.hostnames[0]).running() as load:
        for title, (old, new) in BROKEN.items():
            assert old in SHIPPED, title
            with vhost_template(rig, SHIPPED.replace(old, new, 1)), live_names(rig) as names:
                saga = rig.begin("deploy", fresh(rig))
                assert saga.carry_on() == "backed_out", title
            problem = saga.state.backing_out
            assert saga.state.plan.steps[saga.state.failed_step].name == "virtual_host", title
            assert problem, title
            assert problem.mend in {"Correct the vhost template.", MOVE_IT}, (title, problem)
            assert f"{saga.state.plan.name}.conf" not in names, title
            assert f"{neighbour.name}.conf" in names
    assert load.failed == []
    assert load.asked > 50
    assert difference(before, own_lines(rig.sandbox)) == []


def test_a_template_that_names_what_there_is_not_is_said_by_the_plan(rig: HostRig) -> None:
    with vhost_template(rig, SHIPPED.replace("{{ certificate }}", "{{ certifikate }}")):
        _, problems = rig.plan("plan", fresh(rig))
    assert isinstance(problems, list)
    assert "certifikate" in str(problems[0])
    assert "vhost.j2" in str(problems[0])


def test_no_request_to_a_neighbour_fails_while_others_are_deployed_and_deleted(
    rig: HostRig, neighbour: InstanceSpec
) -> None:
    with Load(rig, neighbour.hostnames[0]).running() as load:
        for _ in range(3):
            other = fresh(rig)
            assert rig.deploy(other) == "committed"
            assert rig.delete(other) == "committed"
    assert load.failed == []
    assert load.asked > 50
