"""A deletion deletes nothing that is not in its archive: on real servers."""

from pathlib import Path

import pytest

from central_dispatch.host.planner import Planned
from central_dispatch.platforms.mariadb import MariaDb
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.protocol import Order
from central_dispatch.provisioning.steps.database_user import PASSWORD
from servers.fingerprint import difference, fingerprint
from servers.host_rig import HostRig, add_source


@pytest.mark.parametrize(
    "lost", ["ALTER USER '{user}'@'localhost' IDENTIFIED BY 'another'", "DROP USER '{user}'@'localhost'"]
)
def test_a_database_that_cannot_be_dumped_is_not_deleted_and_nothing_else_is(sandbox: Sandbox, lost: str) -> None:
    """The vault was lost, or somebody changed the password or dropped the user by hand."""
    add_source(sandbox, "sample")
    rig = HostRig(sandbox)
    spec = rig.spec("lost")
    assert rig.deploy(spec) == "committed"
    databases = rig.host.databases
    assert isinstance(databases, MariaDb)
    databases.execute((lost.format(user=spec.database_user),), "a test")
    _, refused = rig.plan("delete", spec)
    assert not isinstance(refused, Planned)
    (problem,) = refused
    assert spec.database in problem.what
    assert problem.field == "database"
    assert "vault" in problem.mend

    databases.drop_user(spec.database_user)
    databases.create_user(spec.database_user, rig.vault.secret(spec.id, PASSWORD))
    databases.grant(spec.database_user, spec.database)
    assert rig.delete(spec) == "committed"
    assert databases.find(spec.database) is None
    (dump,) = Path(sandbox.layout.archive_directory).glob(f"{spec.name}-*/database.sql")
    assert dump.stat().st_size > 0


def test_a_host_that_lost_its_state_lists_and_clears_all_that_bears_the_instances_names(sandbox: Sandbox) -> None:
    add_source(sandbox, "sample")
    before = fingerprint(sandbox)
    rig = HostRig(sandbox)
    spec = rig.spec("adrift")
    assert rig.deploy(spec) == "committed"
    rig.vault.forget(spec.id)
    items = rig.planner.inventory(Order(run="a" * 32, kind="inventory", spec=spec))
    names = {"system_user", "database", "database_user", "web_root", "php_pool", "virtual_host", "schedule"}
    assert {item.key for item in items} == names
    # All are provably this instance's: the database user by its rights on the marked database alone.
    assert {item.whose for item in items} == {"committed"}
    assert rig.begin("clear", spec, items=("schedule",)).carry_on() == "committed"
    assert rig.get(spec.hostnames[0], "/healthz")[0] == 200, "what was not confirmed is untouched"
    assert rig.begin("clear", spec, items=tuple(names)).carry_on() == "committed"
    assert difference(before, fingerprint(sandbox)) == []


def test_a_user_with_rights_elsewhere_is_nobodys_to_clear_by_name(sandbox: Sandbox) -> None:
    add_source(sandbox, "sample")
    rig = HostRig(sandbox)
    spec = rig.spec("wider")
    assert rig.deploy(spec) == "committed"
    databases = rig.host.databases
    assert isinstance(databases, MariaDb)
    databases.execute((f"GRANT SELECT ON mysql.* TO '{spec.database_user}'@'localhost'",), "a test")
    password = rig.vault.secret(spec.id, PASSWORD)
    databases.execute((f"ALTER USER '{spec.database_user}'@'localhost' IDENTIFIED BY 'theirs'",), "a test")
    items = {item.key: item.whose for item in rig.planner.inventory(Order(run="a" * 32, kind="inventory", spec=spec))}
    assert items["database_user"] == "foreign"
    databases.execute((f"ALTER USER '{spec.database_user}'@'localhost' IDENTIFIED BY '{password}'",), "a test")
    assert rig.delete(spec) == "committed"
