"""What can be known beforehand is said by the plan, with its field; what goes wrong later is backed out."""

import base64
import datetime as dt
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from central_dispatch.host import identity
from central_dispatch.host.identity import Identity
from central_dispatch.host.planner import Planned, Planner
from central_dispatch.host.site import Choices, site_of
from central_dispatch.host.worker import open_vault
from central_dispatch.platforms.linux import build_host
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning import trust
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.spec import InstanceSpec
from central_dispatch.provisioning.steps.tls_files import PURPOSE
from servers.fingerprint import difference
from servers.host_rig import HostRig, add_source
from servers.https_server import certificate
from servers.own_lines import own_lines
from servers.weather import fresh, make_source, watched

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real Unix users, a file system of its own")


@pytest.fixture(scope="module")
def rig(sandbox: Sandbox) -> HostRig:
    add_source(sandbox, "sample")
    return HostRig(sandbox)


@pytest.fixture(autouse=True)
def _leaves_nothing(rig: HostRig) -> Iterator[None]:
    before = own_lines(rig.sandbox)
    yield
    assert difference(before, own_lines(rig.sandbox)) == []


def refused(rig: HostRig, spec: InstanceSpec, field: str) -> str:
    """Return what the plan says; one problem, of that field, that says what to do."""
    _, problems = rig.plan("plan", spec)
    assert isinstance(problems, list)
    assert [problem.field for problem in problems] == [field], problems
    assert problems[0].mend
    assert "\n" not in str(problems[0])
    return str(problems[0])


def test_a_source_that_the_host_does_not_know_is_named(rig: HostRig) -> None:
    assert "no source “nowhere”" in refused(rig, fresh(rig, "nowhere"), "source")


def test_a_source_without_a_manifest_is_named_with_the_file_that_is_missing(rig: HostRig) -> None:
    (rig.sandbox.sources_directory / "bare" / "releases" / "1.0.0").mkdir(parents=True, exist_ok=True)
    assert "bare/portal.toml is missing" in refused(rig, fresh(rig, "bare"), "source")


def test_a_manifest_that_says_nonsense_is_named_with_the_key(rig: HostRig) -> None:
    make_source(rig.sandbox, "nonsense", "true")
    (rig.sandbox.sources_directory / "nonsense" / "portal.toml").write_text('name = "x"\n[health]\npath = 7\n')
    assert "health.path" in refused(rig, fresh(rig, "nonsense"), "source")


def test_a_release_that_is_not_there_is_answered_with_those_that_are(rig: HostRig) -> None:
    assert "there are: 1.0.0" in refused(rig, fresh(rig, release="9.9.9"), "release")


@contextmanager
def live_file(rig: HostRig, text: str, name: str = "zz-foreign.conf") -> Iterator[Path]:
    path = Path(rig.sandbox.layout.vhost_enabled) / name
    path.write_text(text)
    try:
        yield path
    finally:
        path.unlink()


@pytest.mark.parametrize("directive", ["ServerName {}", "ServerName other.test\n ServerAlias a.test {} b.test"])
def test_a_hostname_that_another_virtual_host_serves_is_taken_and_the_file_named(rig: HostRig, directive: str) -> None:
    spec = fresh(rig)
    port = rig.sandbox.layout.https_port
    text = f"<VirtualHost *:{port}>\n {directive.format(spec.hostnames[0].upper())}\n</VirtualHost>\n"
    with live_file(rig, text):
        said = refused(rig, spec, "hostnames")
    assert f"{spec.hostnames[0]} is taken" in said
    assert "zz-foreign.conf" in said


def test_a_hostname_of_another_instance_is_taken_also_as_its_second_name(rig: HostRig) -> None:
    first = fresh(rig)
    first = first.model_copy(update={"hostnames": (*first.hostnames, f"second.{rig.sandbox.domain}")})
    assert rig.deploy(first) == "committed"
    try:
        assert "is taken" in refused(rig, fresh(rig, hostnames=[f"second.{rig.sandbox.domain}"]), "hostnames")
    finally:
        assert rig.delete(first) == "committed"


def planner(rig: HostRig, **chosen: str) -> Planner:
    """Return a planner of the same host with other choices in its settings."""
    box = rig.sandbox
    given = {"default_certificate": str(box.certificate), "default_key": str(box.key), **chosen}
    return Planner(
        rig.host,
        site_of(rig.host, box.layout, Choices(str(box.directory / "pools"), **given)),
        str(box.sources_directory),
    )


@contextmanager
def with_planner(rig: HostRig, other: Planner) -> Iterator[None]:
    own, rig.planner = rig.planner, other
    try:
        yield
    finally:
        rig.planner = own


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"default_certificate": ""}, "the host has no default certificate"),
        ({"default_certificate": "/nowhere/at/all.pem"}, "/nowhere/at/all.pem"),
        ({"default_certificate": "/bin/true"}, "/bin/true is unreadable"),
    ],
)
def test_a_default_certificate_that_is_missing_or_none_is_said_so(
    rig: HostRig, chosen: dict[str, str], said: str
) -> None:
    with with_planner(rig, planner(rig, **chosen)):
        assert said in refused(rig, fresh(rig), "certificate")


def test_a_default_certificate_that_has_expired_is_said_so_with_the_day(rig: HostRig) -> None:
    box = rig.sandbox
    site = site_of(rig.host, box.layout, Choices("/pools", default_certificate=str(box.certificate)))
    later = Planner(rig.host, site, str(box.sources_directory), lambda: dt.datetime(2200, 1, 1, tzinfo=dt.UTC))
    with with_planner(rig, later):
        assert "expired: on 20" in refused(rig, fresh(rig), "certificate").replace("has expired", "expired")


def test_a_default_certificate_that_does_not_cover_a_hostname_is_said_so_with_what_it_covers(rig: HostRig) -> None:
    spec = fresh(rig)
    spec = spec.model_copy(update={"hostnames": (*spec.hostnames, "www.example.com")})
    said = refused(rig, spec, "hostnames")
    assert "does not cover www.example.com" in said
    assert f"*.{rig.sandbox.domain}" in said


def own_certificate(rig: HostRig, spec: InstanceSpec, key: bytes, worker: str) -> InstanceSpec:
    sealed = trust.seal(
        key,
        identity.make_sealing_key(rig.sandbox.state_directory).public_key().public_bytes_raw(),
        purpose=PURPOSE,
        worker=worker,
        instance=spec.id,
    )
    tls = {
        "kind": "own",
        "certificate": rig.sandbox.certificate.read_text(),
        "sealed_key": base64.b64encode(sealed).decode(),
    }
    return InstanceSpec.model_validate(spec.model_dump(mode="json") | {"tls": tls})


@pytest.mark.parametrize("wrong", ["a key of another certificate", "a key sealed to another host"])
def test_a_key_that_does_not_fit_is_found_before_the_web_server_sees_it(
    sandbox: Sandbox, tmp_path: Path, wrong: str
) -> None:
    worker = "1" * 32
    identity.save(sandbox.state_directory, Identity("https://d.test", "pin", worker, "web1", "fp", "secret"))
    rig = HostRig(sandbox)
    rig.vault = open_vault(sandbox.state_directory)
    rig.host = build_host(
        sandbox.layout, vault=rig.vault, state_directory=str(sandbox.state_directory), database=sandbox.database
    )
    pem, _ = certificate(tmp_path)
    foreign_key = pem.read_bytes().partition(b"-----BEGIN CERT")[0]
    key, to = (foreign_key, worker) if "another certificate" in wrong else (sandbox.key.read_bytes(), "2" * 32)
    saga = rig.begin("deploy", own_certificate(rig, fresh(rig), key, to))
    try:
        assert saga.carry_on() == "backed_out"
    finally:
        (sandbox.state_directory / "identity.json").unlink()
    failed = saga.state.plan.steps[saga.state.failed_step].name
    said = str(saga.state.backing_out)
    if to == worker:
        assert failed == "virtual_host"
        assert "key" in said
    else:
        assert failed == "tls_files"
        assert "sealed to another host" in said
    assert rig.host.web.running()


@contextmanager
def small_disk(rig: HostRig, megabytes: int) -> Iterator[Planner]:
    """Mount a small file system where instances would lie."""
    place = rig.sandbox.directory / "small"
    place.mkdir(exist_ok=True)
    subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", place], check=True)
    try:
        layout = replace(rig.sandbox.layout, install_path=str(place))
        box = rig.sandbox
        choices = Choices("/pools", default_certificate=str(box.certificate), default_key=str(box.key))
        yield Planner(rig.host, site_of(rig.host, layout, choices), str(box.sources_directory))
    finally:
        subprocess.run(["/bin/umount", place], check=True)
        place.rmdir()


def test_a_disk_too_full_for_the_source_is_said_beforehand_with_what_is_needed_and_free(rig: HostRig) -> None:
    make_source(rig.sandbox, "large", "true")
    (rig.sandbox.sources_directory / "large" / "releases" / "1.0.0" / "blob").write_bytes(b"x" * (20 << 20))
    with small_disk(rig, 80) as other, with_planner(rig, other):
        said = refused(rig, fresh(rig, "large"), "worker")
        assert "the host's disk is too full" in said
        assert "88 MB are needed" in said
        assert "84 MB are free" in said
        # The same disk is large enough for a smaller source.
        assert isinstance(rig.plan("plan", fresh(rig))[1], Planned)


def test_a_web_server_that_is_broken_already_is_said_so_and_not_made_worse(rig: HostRig) -> None:
    neighbour = fresh(rig)
    assert rig.deploy(neighbour) == "committed"
    try:
        with live_file(rig, "NoSuchDirective on\n"):
            before = own_lines(rig.sandbox)
            said = refused(rig, fresh(rig), "worker")
            assert "broken already" in said
            assert "zz-foreign.conf" in said
            assert difference(before, own_lines(rig.sandbox)) == []
            assert rig.get(neighbour.hostnames[0], "/healthz")[0] == 200
    finally:
        assert rig.delete(neighbour) == "committed"


@pytest.mark.parametrize("step", ["virtual_host", "reload"])
def test_a_web_server_that_breaks_in_mid_run_has_the_run_backed_out_and_serves_on(rig: HostRig, step: str) -> None:
    neighbour = fresh(rig)
    assert rig.deploy(neighbour) == "committed"
    broken = Path(rig.sandbox.layout.vhost_enabled) / "zz-foreign.conf"

    def seen(kind: str, name: str) -> None:
        # There are two reloads; the one on the way back comes before the virtual host.
        if kind == "intent" and name == step and not broken.exists() and (step != "reload" or done):
            broken.write_text("NoSuchDirective on\n")
        if (kind, name) == ("done", "virtual_host"):
            done.append(name)

    done: list[str] = []
    try:
        clean = own_lines(rig.sandbox)
        saga = watched(rig, fresh(rig), seen)
        assert saga.carry_on() == "backed_out"
        assert "zz-foreign.conf" in str(saga.state.backing_out)
        assert rig.get(neighbour.hostnames[0], "/healthz")[0] == 200
        # What was taken away is made known to the server as soon as somebody has mended its tree.
        assert rig.host.web.make_up() is not None  # type: ignore[attr-defined] # Apache has it, the port does not
        broken.unlink()
        assert rig.host.web.make_up() is None  # type: ignore[attr-defined]
        assert difference(clean, own_lines(rig.sandbox)) == []
    finally:
        broken.unlink(missing_ok=True)
        assert rig.delete(neighbour) == "committed"


@contextmanager
def database_down(rig: HostRig) -> Iterator[None]:
    rig.sandbox.mariadb.stop()
    try:
        yield
    finally:
        rig.sandbox.mariadb.start()


def test_a_database_server_that_is_down_is_said_by_the_plan(rig: HostRig) -> None:
    with database_down(rig):
        _, problems = rig.plan("plan", fresh(rig))
        assert isinstance(problems, list)
        assert "The database server does not answer" in str(problems[0])
        assert "Start it" in problems[0].mend
        with pytest.raises(HostError):
            rig.host.databases.version()


@pytest.mark.parametrize("step", ["database", "install"])
def test_a_database_server_that_goes_down_in_mid_run_has_it_backed_out_once_it_is_up(rig: HostRig, step: str) -> None:
    clean = own_lines(rig.sandbox)

    def seen(kind: str, name: str) -> None:
        if (kind, name) == ("intent", step):
            rig.sandbox.mariadb.stop()

    saga = watched(rig, fresh(rig), seen)
    try:
        assert saga.carry_on() == "waiting"
        assert saga.state.plan.steps[saga.state.failed_step].name == step
        assert isinstance(saga.state.backing_out, Problem)
        # What does not need the server is gone already.
        assert rig.host.files.find(f"{rig.sandbox.layout.vhost_directory}/{saga.state.plan.name}.conf") is None
        assert rig.host.files.find(f"{rig.sandbox.layout.install_path}/{saga.state.plan.name}") is None
        assert saga.carry_on() == "waiting"
    finally:
        rig.sandbox.mariadb.start()
    assert saga.carry_on() == "backed_out"
    assert difference(clean, own_lines(rig.sandbox)) == []
