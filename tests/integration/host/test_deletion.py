"""A deletion deletes nothing that is not in its archive: on real servers."""

from pathlib import Path

import pytest

from central_dispatch.host.planner import Planned
from central_dispatch.platforms.mariadb import MariaDb
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.steps.database_user import PASSWORD
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
