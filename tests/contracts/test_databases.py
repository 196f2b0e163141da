"""The contract of `ports.Databases`, on a real MariaDB: by socket, over TCP, and as on a server without comments."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from central_dispatch.platforms.database_sql import INSTANCE_RIGHTS
from central_dispatch.platforms.mariadb import DatabaseAccess, MariaDb
from central_dispatch.platforms.sandbox import MariaDbServer
from central_dispatch.provisioning.problem import HostError, Occupied, Unavailable
from servers.users import Users

PASSWORD = 'it\'s "quoted" \\ and #5%'


class WithoutComments(MariaDb):
    """As with a server that knows no comments of databases."""

    def _has_comments(self) -> bool:
        return False


@pytest.fixture(params=["socket", "tcp", "without comments"])
def databases(request: pytest.FixtureRequest, mariadb_server: MariaDbServer) -> Iterator[MariaDb]:
    access = mariadb_server.tcp_access if request.param == "tcp" else mariadb_server.access
    adapter = WithoutComments(access) if request.param == "without comments" else MariaDb(access)
    yield adapter
    adapter.close()


@pytest.fixture
def name(databases: MariaDb) -> Iterator[str]:
    made = f"t_{secrets.token_hex(5)}"
    yield made
    databases.drop(made)
    databases.drop_user(made)


def _as(server: MariaDbServer, user: str, database: str | None = None) -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(user=user, password=PASSWORD, unix_socket=str(server.socket), database=database)


def test_the_server_says_what_it_is(databases: MariaDb) -> None:
    assert databases.version().startswith("MariaDB 1")


def test_a_database_bears_its_comment_from_the_start_and_can_be_described_anew(databases: MariaDb, name: str) -> None:
    assert databases.find(name) is None
    databases.create(name, "central-dispatch run=1")
    found = databases.find(name)
    assert found
    assert (found.comment, found.tables) == ("central-dispatch run=1", 0)
    databases.describe(name, "it's sealed")
    found = databases.find(name)
    assert found
    assert found.comment == "it's sealed"


def test_an_existing_database_is_left_as_it_is(databases: MariaDb, name: str) -> None:
    databases.create(name, "first")
    with pytest.raises(Occupied):
        databases.create(name, "second")
    found = databases.find(name)
    assert found
    assert found.comment == "first"


def test_dropping_can_be_repeated(databases: MariaDb, name: str) -> None:
    databases.create(name, "")
    databases.create_user(name, PASSWORD)
    for _ in range(2):
        databases.drop(name)
        databases.drop_user(name)
    assert databases.find(name) is None
    assert not databases.user_exists(name)


def test_only_its_password_opens_an_account(databases: MariaDb, name: str) -> None:
    assert not databases.opens(name, PASSWORD)
    databases.create_user(name, PASSWORD)
    assert databases.user_exists(name)
    assert databases.opens(name, PASSWORD)
    assert not databases.opens(name, "another")
    assert not databases.opens(name, "")


def test_an_existing_account_is_left_as_it_is(databases: MariaDb, name: str) -> None:
    databases.create_user(name, PASSWORD)
    with pytest.raises(Occupied):
        databases.create_user(name, "another")
    assert databases.opens(name, PASSWORD)


def test_an_account_for_another_client_host_is_foreign_and_stays(
    databases: MariaDb, name: str, mariadb_server: MariaDbServer
) -> None:
    administrator = mariadb_server._administrator()
    administrator.execute([f"CREATE USER '{name}'@'10.0.0.1' IDENTIFIED BY 'x'"], "test")
    try:
        with pytest.raises(Occupied):
            databases.create_user(name, PASSWORD)
        databases.drop_user(name)
        assert databases.user_exists(name)
    finally:
        administrator.execute([f"DROP USER '{name}'@'10.0.0.1'"], "test")
        administrator.close()


def test_an_account_reaches_its_own_database_and_no_neighbour(
    databases: MariaDb, name: str, mariadb_server: MariaDbServer
) -> None:
    """In a grant `_` stands for any character: the neighbour's name differs just there."""
    neighbour = name.replace("_", "x", 1)
    databases.create(name, "")
    databases.create(neighbour, "")
    try:
        databases.create_user(name, PASSWORD)
        databases.grant(name, name)
        with _as(mariadb_server, name, name) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (i INT)")
            cursor.execute("INSERT INTO t VALUES (1)")
            for statement in (
                f"USE {neighbour}",
                "SELECT User FROM mysql.user",
                "CREATE DATABASE another",
                f"GRANT SELECT ON {name}.* TO 'root'@'localhost'",
            ):
                with pytest.raises(pymysql.err.MySQLError):
                    cursor.execute(statement)
        found = databases.find(name)
        assert found
        assert found.tables == 1
    finally:
        databases.drop(neighbour)


def test_an_account_that_lacks_a_new_right_passes_on_the_others(
    databases: MariaDb, name: str, mariadb_server: MariaDbServer
) -> None:
    """As on a later server, which knows more rights than the account was made with."""
    administrator = mariadb_server._administrator()
    less = f"p_{secrets.token_hex(4)}"
    rights = INSTANCE_RIGHTS.replace(", DELETE HISTORY", "")
    for host in ("localhost", "127.0.0.1"):
        account = f"'{less}'@'{host}'"
        grant = f"GRANT CREATE USER, {rights} ON *.* TO {account} WITH GRANT OPTION"
        administrator.execute([f"CREATE USER {account} IDENTIFIED BY 'secret'", grant], "test")
    weaker = MariaDb(replace(databases._access, user=less, password="secret"))
    try:
        weaker.create(name, "")
        weaker.create_user(name, PASSWORD)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("central_dispatch.platforms.mariadb.INSTANCE_RIGHTS", rights)
            weaker.grant(name, name)
        assert any("SELECT, INSERT" in line and "EVENT" in line for line in weaker.grants(name))
    finally:
        weaker.close()
        administrator.execute([f"DROP USER '{less}'@'localhost', '{less}'@'127.0.0.1'"], "test")
        administrator.close()


def test_grants_name_the_database_and_no_password_hash(databases: MariaDb, name: str) -> None:
    databases.create(name, "")
    databases.create_user(name, PASSWORD)
    databases.grant(name, name)
    grants = databases.grants(name)
    escaped = name.replace("_", "\\_")
    assert any(f"ALL PRIVILEGES ON `{escaped}`.*" in line for line in grants)
    assert not any("PASSWORD" in line or "GRANT OPTION" in line for line in grants)


def test_a_dropped_accounts_connections_end(databases: MariaDb, name: str, mariadb_server: MariaDbServer) -> None:
    databases.create_user(name, PASSWORD)
    connection = _as(mariadb_server, name)
    databases.drop_user(name)
    with pytest.raises(pymysql.err.MySQLError):
        connection.query("SELECT SLEEP(5)")


def test_a_dump_is_made_as_the_instances_users_and_is_ours_alone(
    databases: MariaDb, name: str, users: Users, passable: Path, mariadb_server: MariaDbServer
) -> None:
    databases.create(name, "")
    databases.create_user(name, PASSWORD)
    databases.grant(name, name)
    with _as(mariadb_server, name, name) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (s VARCHAR(20))")
        cursor.execute("INSERT INTO t VALUES ('marmalade')")
        connection.commit()
    target = passable / "dump.sql"
    databases.dump(name, name, PASSWORD, as_user=users.make().name, target=str(target))
    assert "marmalade" in target.read_text()
    assert (target.stat().st_mode & 0o777, target.stat().st_uid) == (0o600, 0)
    with pytest.raises(Occupied):
        databases.dump(name, name, PASSWORD, as_user=users.make().name, target=str(target))


def test_a_dump_that_fails_leaves_no_file_and_shows_no_password(
    databases: MariaDb, name: str, users: Users, passable: Path
) -> None:
    databases.create_user(name, PASSWORD)
    with pytest.raises(HostError, match="Access denied") as caught:
        databases.dump(name, name, PASSWORD, as_user=users.make().name, target=str(passable / "dump.sql"))
    assert PASSWORD not in str(caught.value)
    assert not (passable / "dump.sql").exists()


def test_the_provisioning_account_can_neither_read_files_nor_rule_the_server(databases: MariaDb) -> None:
    for statement in ("SELECT LOAD_FILE('/etc/passwd') INTO OUTFILE '/tmp/x'", "SHUTDOWN", "SET GLOBAL general_log=1"):
        with pytest.raises(HostError):
            databases.execute([statement], "try")


def test_no_log_of_the_server_shows_an_instances_password(
    databases: MariaDb, name: str, mariadb_server: MariaDbServer
) -> None:
    administrator = mariadb_server._administrator()
    log = mariadb_server.directory / "data" / f"general-{secrets.token_hex(4)}.log"
    administrator.execute([f"SET GLOBAL general_log_file='{log.name}'", "SET GLOBAL general_log=1"], "test")
    try:
        databases.create_user(name, "marmalade-password")
    finally:
        administrator.execute(["SET GLOBAL general_log=0"], "test")
        administrator.close()
    assert name in log.read_text()
    assert "marmalade" not in log.read_text()


def test_a_server_that_is_down_is_unavailable_and_found_again_when_it_is_up(passable: Path) -> None:
    server = MariaDbServer(passable / "mariadb", passable / "run" / "mysql.sock", "provisioner", "password")
    server.install()
    databases = MariaDb(server.access)
    with pytest.raises(Unavailable, match="Start it, then try again"):
        databases.find("x")
    try:
        server.start()
        assert databases.find("x") is None
        server.stop()
        with pytest.raises(Unavailable):
            databases.find("x")
        with pytest.raises(Unavailable):
            databases.opens("x", "y")
        server.start()
        assert databases.find("x") is None
    finally:
        server.stop()


def test_a_wrong_password_of_the_host_is_said_so(mariadb_server: MariaDbServer) -> None:
    wrong: DatabaseAccess = replace(mariadb_server.access, password="wrong")
    with pytest.raises(HostError, match="prepare-database") as caught:
        MariaDb(wrong).version()
    assert not isinstance(caught.value, Unavailable)


def test_two_sessions_of_the_adapter_do_not_disturb_each_other(databases: MariaDb, name: str) -> None:
    """An idle connection that the server has cut is replaced without a word."""
    databases.create(name, "one")
    ((number,),) = databases._query("SELECT CONNECTION_ID()")
    other = MariaDb(databases._access)
    other.execute([f"KILL CONNECTION {number}"], "test")
    other.close()
    assert databases.find(name)
