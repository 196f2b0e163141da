"""What a server needs before the dispatcher can use it: the SQL that makes database and user, and a look at it."""

import re

from central_dispatch.configuration import Database
from central_dispatch.jobs.ports import StoreDown
from central_dispatch.platforms.database_sql import escaped_pattern, quoted, text
from central_dispatch.provisioning.problem import Problem
from central_dispatch.stores.places import driver_of
from central_dispatch.stores.server.connection import Connections

_PASSWORD = "the password in password_file"  # noqa: S105 words to be replaced
#: All that migrations and the running dispatcher do; nothing beyond its own database.
_RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"
_OLDEST = {"postgresql": (14, 0), "mariadb": (10, 6)}
_VERSION = re.compile(r"(\d+)(?:\.(\d+))?")  # 14.2, 17rc1, 10.11.6-MariaDB


def setup_sql(database: Database, client: str) -> list[str]:
    """Return what an administrator of the server runs once. `client`: from where the dispatcher comes.

    `ValueError`: a name that MariaDB's statements cannot hold.
    """
    if database.engine == "postgresql":
        name, user = _in_quotes(database.name), _in_quotes(database.user)
        return [
            f"CREATE ROLE {user} LOGIN PASSWORD '{_PASSWORD}';",
            f"CREATE DATABASE {name} OWNER {user} ENCODING 'UTF8' TEMPLATE template0;",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;",
        ]
    name = quoted(database.name)
    account = f"{text(database.user)}@{text(client)}"
    return [
        f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;",
        f"CREATE USER {account} IDENTIFIED BY '{_PASSWORD}';",
        f"GRANT {_RIGHTS} ON {quoted(escaped_pattern(database.name))}.* TO {account};",
    ]


def database_problem(database: Database) -> Problem | None:
    """Look whether the database can be used: it answers, is new enough, and tells all texts apart."""
    connections = Connections(driver_of(database.engine), database)
    on_postgresql = database.engine == "postgresql"
    look = "SELECT current_setting('server_version'), 'UTF8' = current_setting('server_encoding')"
    if not on_postgresql:
        # Its tables get the database's collation: names that differ in case alone would be one.
        look = "SELECT version(), @@collation_database LIKE 'utf8mb4\\_%%bin'"
    try:
        [(version, fits)] = connections.read(lambda session: session.rows(look))
    except StoreDown as error:
        return Problem("The dispatcher's database cannot be used", str(error), field="database")
    finally:
        connections.close()
    if not is_new_enough(database.engine, str(version)):
        oldest = ".".join(map(str, _OLDEST[database.engine]))
        return Problem(f"The database server is too old: {version}", mend=f"Use {oldest} or newer.", field="database")
    if not fits:
        mend = (
            "Make it anew with ENCODING 'UTF8' (central-dispatch dispatcher show-database-sql)."
            if on_postgresql
            else f"ALTER DATABASE {quoted(database.name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        )
        return Problem("The database does not tell apart all texts", mend=mend, field="database.name")
    return None


def is_new_enough(engine: str, version: str) -> bool:
    """Say whether a server of this version, in its own words, can be used."""
    found = _VERSION.match(version)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= _OLDEST[engine]


def _in_quotes(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
