"""A host that was restored from a copy, or cloned, destroys nothing of a committed instance: on real servers."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from central_dispatch.host import identity
from central_dispatch.host.journal_file import JournalFile
from central_dispatch.platforms import sandbox as sandboxes
from central_dispatch.provisioning.names import unix_user_for
from central_dispatch.provisioning.protocol import Order
from central_dispatch.provisioning.saga import Saga
from servers.fingerprint import difference
from servers.host_rig import HostRig
from servers.own_lines import PREFIX, own_lines
from servers.places import passable_directory
from servers.rewinding import Deployed, carried_out, enrolled_rig, restarted, with_everything

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real Unix users")

RESOURCES = ("system_user", "database", "web_root", "code", "tls_files", "php_pool", "virtual_host", "schedule")


@pytest.fixture(scope="module")
def rig() -> Iterator[HostRig]:
    with passable_directory() as place:
        box = sandboxes.create(str(place / "box"))
        try:
            box.start()
            yield enrolled_rig(box)
        finally:
            box.stop()


@pytest.fixture(scope="module")
def kept(rig: HostRig) -> Iterator[Deployed]:
    """An instance that no test may harm, so that all can use it."""
    deployed = carried_out(rig, "deploy", with_everything(rig, f"{PREFIX}-kept"))
    yield deployed
    assert rig.delete(deployed.spec) == "committed"


@pytest.fixture
def instance(rig: HostRig, kept: Deployed) -> Iterator[Deployed]:
    """The kept instance, whole before and after."""
    before = own_lines(rig.sandbox)
    yield kept
    kept.rewind(len(kept.lines))
    kept.seal_again()
    assert difference(before, own_lines(rig.sandbox)) == []
    assert '"status":"ok"' in rig.get(kept.spec.hostnames[0], "/healthz")[1]


@pytest.fixture
def own(rig: HostRig) -> Iterator[Deployed]:
    """An instance that a test may delete."""
    clean = own_lines(rig.sandbox)
    deployed = carried_out(rig, "deploy", with_everything(rig, f"{PREFIX}{secrets.token_hex(4)}"))
    yield deployed
    if rig.host.accounts.find(unix_user_for(deployed.spec.name)):
        assert rig.delete(deployed.spec) == "committed"
    assert difference(clean, own_lines(rig.sandbox)) == []


def assert_stuck_and_nothing_is_touched(rig: HostRig, deployed: Deployed) -> None:
    """Restart; the run must be stuck, say why, and stay harmless when an administrator acknowledges it."""
    restored = own_lines(rig.sandbox)
    with restarted(rig) as host:
        assert host.await_kind(deployed.run, "stuck", "end") == "stuck"
        said = host.said(deployed.run)
        assert "this journal is older than the host" in said
        assert "nothing was removed" in said
        assert difference(restored, own_lines(rig.sandbox)) == []
        host.wish("retry", deployed.run)
        assert host.await_kind(deployed.run, "stuck", "end") == "stuck"
        host.wish("acknowledge", deployed.run)
        assert host.await_kind(deployed.run, "end") == "end"
        assert "backed_out" in host.said(deployed.run)
    assert difference(restored, own_lines(rig.sandbox)) == []


def test_a_copy_taken_in_mid_run_differs_from_the_committed_host_in_its_marks_alone(
    rig: HostRig, instance: Deployed
) -> None:
    """What the other tests stand on: what they restore is what a real copy of all files holds."""
    copies: dict[str, bytes] = {}

    class Copying(JournalFile):
        def append(self, *args, **kwargs):  # noqa: ANN002, ANN003, ANN202 passes through
            if args[0] == "commit":
                copies.update(content_of(rig, spec.name))
            return super().append(*args, **kwargs)

    spec = with_everything(rig, f"{PREFIX}copied")
    begun = rig.begin("deploy", spec)
    path = rig.sandbox.state_directory / "journal" / f"{begun.state.run}.jsonl"
    assert Saga(rig.host, Copying(path, begun.state.run, spec.id, rig.writing())).carry_on() == "committed"
    deployed = Deployed(rig, spec, begun.state.run, path.read_bytes().splitlines(keepends=True))
    try:
        assert content_of(rig, spec.name) != copies
        deployed.restore(deployed.sealed_steps())
        assert content_of(rig, spec.name) == copies
    finally:
        deployed.seal_again()
        assert rig.delete(spec) == "committed"
    assert instance.run != begun.state.run


def content_of(rig: HostRig, name: str) -> dict[str, bytes]:
    """Return everything that an instance has on its host, and what it holds."""
    layout, box = rig.sandbox.layout, rig.sandbox
    paths = [path for path in (Path(layout.install_path) / name).rglob("*") if "var" not in path.parts]
    paths += [Path(layout.vhost_directory) / f"{name}.conf", box.directory / "pools" / f"{name}.conf"]
    paths += list(Path(layout.certificate_directory).glob(f"{name}.*"))
    paths += list((box.state_directory / "services").glob(f"*-{name}.json"))
    found = {str(path): path.read_bytes() for path in paths if path.is_file() and path.parent.name != "log"}
    found["user"] = repr(rig.host.accounts.find(unix_user_for(name))).encode()
    found["crontab"] = rig.host.schedules.read(unix_user_for(name)).encode()
    found["database"] = repr(rig.host.databases.find(name)).encode()
    return found


@pytest.mark.parametrize("resource", RESOURCES)
def test_one_sealed_thing_is_enough_to_spare_all(rig: HostRig, instance: Deployed, resource: str) -> None:
    """Everything but this one thing was restored from a copy taken in mid-run (the web root: on shared storage)."""
    steps = instance.sealed_steps()
    assert {step.name for step in steps} == set(RESOURCES)
    instance.restore(step for step in steps if step.name != resource)
    instance.rewind(instance.commit)
    assert_stuck_and_nothing_is_touched(rig, instance)


@pytest.mark.parametrize("half", ["certificate", "key"])
def test_one_sealed_half_of_the_tls_files_is_enough(rig: HostRig, instance: Deployed, half: str) -> None:
    tls = next(step for step in instance.sealed_steps() if step.name == "tls_files")
    path = Path(getattr(tls, half))
    sealed = path.read_bytes()
    instance.restore(instance.sealed_steps())
    opened = path.read_bytes()
    assert opened != sealed
    path.write_bytes(sealed)
    instance.rewind(instance.commit)
    try:
        assert_stuck_and_nothing_is_touched(rig, instance)
    finally:
        path.write_bytes(opened)


def test_the_journal_alone_restored_from_any_moment_touches_nothing(rig: HostRig, instance: Deployed) -> None:
    before = own_lines(rig.sandbox)
    for lines in range(2, instance.commit + 1):
        instance.rewind(lines)
        journal = JournalFile(instance.path, instance.run, instance.spec.id, rig.writing())
        saga = Saga(rig.host, journal)
        assert saga.recover() == "stuck", lines
        assert saga.acknowledge("ada") == "backed_out", lines
        journal.close()
        assert difference(before, own_lines(rig.sandbox)) == [], lines


def test_journal_vault_and_identity_restored_and_the_host_worker_started_touches_nothing(
    rig: HostRig, instance: Deployed
) -> None:
    instance.rewind(instance.after("intent", "health_check"))
    assert_stuck_and_nothing_is_touched(rig, instance)


def test_a_thing_that_the_old_journal_never_touched_speaks_too(rig: HostRig, instance: Deployed) -> None:
    """The system disk was restored to a moment at which there was only the user; the data disks were not."""
    instance.restore(step for step in instance.sealed_steps() if step.name == "system_user")
    instance.rewind(instance.after("done", "system_user"))
    assert_stuck_and_nothing_is_touched(rig, instance)


def test_with_the_database_down_nothing_is_undone_before_it_was_heard(rig: HostRig, instance: Deployed) -> None:
    """All files were restored; the one sealed thing is the database, and its server starts later."""
    instance.restore(step for step in instance.sealed_steps() if step.name != "database")
    instance.rewind(instance.commit)
    restored = own_lines(rig.sandbox)
    rig.sandbox.mariadb.stop()
    try:
        with restarted(rig) as host:
            assert host.await_kind(instance.run, "waiting", "stuck", "end") == "waiting"
            assert "does not answer" in host.said(instance.run)
            rig.sandbox.mariadb.start()
            assert difference(restored, own_lines(rig.sandbox)) == []
            assert host.await_kind(instance.run, "stuck", "end") == "stuck"
            host.wish("acknowledge", instance.run)
            host.await_kind(instance.run, "end")
    finally:
        rig.sandbox.mariadb.start()
    assert difference(restored, own_lines(rig.sandbox)) == []


def test_a_database_user_whose_database_is_gone_is_not_taken_for_a_runs_own(rig: HostRig, own: Deployed) -> None:
    """Everything was restored, and somebody has dropped the database since: whose the user is, nothing says."""
    own.restore(step for step in own.sealed_steps() if step.name != "database")
    access = rig.sandbox.database
    with pymysql.connect(unix_socket=access.socket, user=access.user, password=access.password) as connection:
        connection.cursor().execute(f"DROP DATABASE {own.spec.database}")
    own.rewind(own.commit)
    assert_stuck_and_nothing_is_touched(rig, own)
    assert rig.host.databases.user_exists(own.spec.database_user)


def test_the_old_journal_of_a_deleted_instance_touches_no_newer_one_of_its_names(rig: HostRig, own: Deployed) -> None:
    assert rig.delete(own.spec) == "committed"
    newer = carried_out(rig, "deploy", with_everything(rig, own.spec.name))
    before = own_lines(rig.sandbox)
    try:
        for lines in range(2, own.commit + 1):
            own.rewind(lines)
            saga = Saga(rig.host, JournalFile(own.path, own.run, own.spec.id, rig.writing()))
            assert saga.recover() == "backed_out"
            assert difference(before, own_lines(rig.sandbox)) == [], lines
        # The commit is there, the seals are not: what has the names now must not get the old run's seal.
        for lines in range(own.commit + 1, len(own.lines)):
            own.rewind(lines)
            saga = Saga(rig.host, JournalFile(own.path, own.run, own.spec.id, rig.writing()))
            while saga.recover() == "stuck":
                saga.acknowledge("ada")
            assert difference(before, own_lines(rig.sandbox)) == [], lines
    finally:
        own.rewind(len(own.lines))
        assert rig.delete(newer.spec) == "committed"


def archives(rig: HostRig, name: str) -> dict[str, bytes]:
    found = (rig.sandbox.directory / "archives").glob(f"{name}-*/*")
    return {str(path): path.read_bytes() for path in found}


@pytest.mark.parametrize("restored", ["the journal", "the journal and the archive"])
def test_the_archive_of_a_committed_deletion_is_never_removed(rig: HostRig, own: Deployed, restored: str) -> None:
    deletion = carried_out(rig, "delete", own.spec)
    if "archive" in restored:
        deletion.restore(deletion.sealed_steps())
    before = archives(rig, own.spec.name)
    assert len(before) == 3
    for lines in range(2, deletion.commit):
        deletion.rewind(lines)
        saga = Saga(rig.host, JournalFile(deletion.path, deletion.run, own.spec.id, rig.writing()))
        assert saga.recover() == "stuck", lines
        assert archives(rig, own.spec.name) == before
    deletion.rewind(deletion.commit)
    assert_stuck_and_nothing_is_touched(rig, deletion)
    assert archives(rig, own.spec.name) == before


def test_an_archive_stays_when_only_the_database_is_gone(rig: HostRig, own: Deployed) -> None:
    """All files were restored, web root and archive too: the only copy of the database is in the archive."""
    begun = rig.begin("delete", own.spec)

    class Stopped(Exception):
        """The copy is taken here."""

    class Stopping(JournalFile):
        def append(self, *args, **kwargs):  # noqa: ANN002, ANN003, ANN202 passes through
            if args[0] == "commit":
                raise Stopped
            return super().append(*args, **kwargs)

    path = rig.sandbox.state_directory / "journal" / f"{begun.state.run}.jsonl"
    with pytest.raises(Stopped):
        Saga(rig.host, Stopping(path, begun.state.run, own.spec.id, rig.writing())).carry_on()
    rig.host.databases.drop(own.spec.database)
    before = archives(rig, own.spec.name)
    deletion = Deployed(rig, own.spec, begun.state.run, path.read_bytes().splitlines(keepends=True))
    assert len(before) == 3
    assert_stuck_and_nothing_is_touched(rig, deletion)
    assert archives(rig, own.spec.name) == before


def test_a_confirmed_removal_that_was_interrupted_asks_again_and_touches_nothing_newer(
    rig: HostRig, own: Deployed
) -> None:
    items = tuple(step.name for step in own.sealed_steps() if step.name != "code")
    clearance = carried_out(rig, "clear", own.spec, (*items, "database_user"))
    again = carried_out(rig, "deploy", own.spec)
    before = own_lines(rig.sandbox)
    for lines in range(clearance.commit + 1, len(clearance.lines)):
        clearance.rewind(lines)
        saga = Saga(rig.host, JournalFile(clearance.path, clearance.run, own.spec.id, rig.writing()))
        if saga.state.unfinished():
            assert saga.recover() == "stuck"
            assert saga.acknowledge("ada") == "committed"
        assert difference(before, own_lines(rig.sandbox)) == [], lines
    clearance.rewind(len(clearance.lines))
    assert again.run != own.run


def test_a_cloned_host_touches_nothing_before_an_administrator_accepts_it(
    rig: HostRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = own_lines(rig.sandbox)
    spec = with_everything(rig, f"{PREFIX}-cloned")
    begun = rig.begin("deploy", spec)
    path = rig.sandbox.state_directory / "journal" / f"{begun.state.run}.jsonl"
    # Killed at the health check: everything is up, nothing is committed.
    died = os.fork()
    if died == 0:
        os._exit(die_at_the_health_check(rig, spec.id, begun.state.run, path))
    assert os.waitstatus_to_exitcode(os.waitpid(died, 0)[1]) == 9
    copied = path.read_bytes()
    half = own_lines(rig.sandbox)
    monkeypatch.setattr(identity, "machine_id", lambda _state: "d" * 32)
    with restarted(rig) as clone:
        assert clone.await_kind(begun.state.run, "stuck", "end") == "stuck"
        assert "began on another machine" in clone.said(begun.state.run)
        clone.dispatcher.give(Order(run="2" * 32, kind="plan", spec=rig.spec("other")))
        clone.wish("acknowledge", begun.state.run)
        clone.await_kind(begun.state.run, "end")
    assert difference(half, own_lines(rig.sandbox)) == []
    # It was the same host after all, moved to another machine.
    path.write_bytes(copied)
    path.with_name(f"{begun.state.run}.through").unlink()
    with restarted(rig) as moved:
        assert moved.await_kind(begun.state.run, "stuck", "end") == "stuck"
        moved.wish("retry", begun.state.run)
        moved.await_kind(begun.state.run, "end")
    assert difference(clean, own_lines(rig.sandbox)) == []


def die_at_the_health_check(rig: HostRig, instance: str, run: str, path: Path) -> int:
    """Carry a run on until then; a child's body."""

    class Dying(JournalFile):
        def append(self, *args, **kwargs):  # noqa: ANN002, ANN003, ANN202 passes through
            entry = super().append(*args, **kwargs)
            if entry.kind == "intent" and entry.step == index:
                os._exit(9)
            return entry

    journal = Dying(path, run, instance, rig.writing())
    saga = Saga(rig.host, journal)
    index = next(number for number, step in enumerate(saga.state.plan.steps) if step.name == "health_check")
    saga.carry_on()
    return 0
