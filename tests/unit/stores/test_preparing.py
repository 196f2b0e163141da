"""The SQL that makes database and user is exact about their names; a server's version is read in its own words."""

import pytest

from central_dispatch.configuration import Database
from central_dispatch.stores.server.preparing import is_new_enough, setup_sql


def test_on_mariadb_an_underscore_in_the_name_gives_no_right_on_another_database() -> None:
    make, user, grant = setup_sql(Database(engine="mariadb", name="a_b`c%", user="o'x"), "app_1.example")
    assert make.startswith("CREATE DATABASE `a_b``c%` ")
    assert user.startswith("CREATE USER 'o''x'@'app_1.example' ")
    assert grant.endswith(" ON `a\\_b``c\\%`.* TO 'o''x'@'app_1.example';")


@pytest.mark.parametrize(("user", "client"), [("a\\", "localhost"), ("a", "local\\")])
def test_on_mariadb_a_name_that_its_texts_cannot_hold_is_refused(user: str, client: str) -> None:
    with pytest.raises(ValueError, match="backslash"):
        setup_sql(Database(engine="mariadb", user=user), client)


def test_on_postgresql_names_are_quoted() -> None:
    role, database, _ = setup_sql(Database(engine="postgresql", name='a_"b', user='o"x'), "")
    assert role.startswith('CREATE ROLE "o""x" ')
    assert database.startswith('CREATE DATABASE "a_""b" OWNER "o""x" ')


@pytest.mark.parametrize(
    ("engine", "version", "enough"),
    [
        ("postgresql", "13.22", False),
        ("postgresql", "14.0", True),
        ("postgresql", "15.14 (Debian 15.14-0+deb12u1)", True),
        ("postgresql", "17rc1", True),
        ("postgresql", "18beta2", True),
        ("mariadb", "10.5.29-MariaDB", False),
        ("mariadb", "10.6.22-MariaDB-log", True),
        ("mariadb", "11.8.2-MariaDB-ubu2404", True),
        ("mariadb", "unheard of", False),
    ],
)
def test_a_servers_version_is_read_in_its_own_words(engine: str, version: str, *, enough: bool) -> None:
    assert is_new_enough(engine, version) is enough
