"""What a server needs before the dispatcher can use it: the SQL that makes database and user, and a look at it."""

from central_dispatch.configuration import Database
from central_dispatch.jobs.ports import StoreDown
from central_dispatch.provisioning.problem import Problem
from central_dispatch.stores.places import driver_of
from central_dispatch.stores.server.connection import Connections

_PASSWORD = "the password in password_file"  # noqa: S105 words to be replaced
#: All that migrations and the running dispatcher do; nothing beyond its own database.
_RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES"
_OLDEST = {"postgresql": (13, 0), "mariadb": (10, 6)}


def setup_sql(database: Database, client: str) -> list[str]:
    """Return what an administrator of the server runs once. `client`: from where the dispatcher comes."""
    if database.engine == "postgresql":
        name, user = _quoted(database.name, '"'), _quoted(database.user, '"')
        return [
            f"CREATE ROLE {user} LOGIN PASSWORD '{_PASSWORD}';",
            f"CREATE DATABASE {name} OWNER {user} ENCODING 'UTF8' TEMPLATE template0;",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC;",
        ]
    name = _quoted(database.name, "`")
    account = f"{_quoted(database.user, chr(39))}@{_quoted(client, chr(39))}"
    return [
        f"CREATE DATABASE {name} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;",
        f"CREATE USER {account} IDENTIFIED BY '{_PASSWORD}';",
        f"GRANT {_RIGHTS} ON {name}.* TO {account};",
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
    found = tuple(int(part) for part in str(version).split("-")[0].split()[0].split(".")[:2])
    if found < _OLDEST[database.engine]:
        oldest = ".".join(map(str, _OLDEST[database.engine]))
        return Problem(f"The database server is too old: {version}", mend=f"Use {oldest} or newer.", field="database")
    if not fits:
        mend = (
            "Make it anew with ENCODING 'UTF8' (central-dispatch dispatcher show-database-sql)."
            if on_postgresql
            else f"ALTER DATABASE {_quoted(database.name, '`')} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
        )
        return Problem("The database does not tell apart all texts", mend=mend, field="database.name")
    return None


def _quoted(name: str, mark: str) -> str:
    return mark + name.replace(mark, mark * 2) + mark
