"""The instance's database user. Mark: our stored password opens it; whether it is sealed, its database says."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.names import DatabaseName
from central_dispatch.provisioning.names import DatabaseUser as DatabaseUserName
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Problem, Unavailable
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step

# The secret's name in the vault.
PASSWORD = "database_password"  # noqa: S105 the name of a secret, not one


class DatabaseUser(Step):
    """A user with all rights on the instance's database and none elsewhere."""

    name: ClassVar[str] = "database_user"

    user: DatabaseUserName
    database: DatabaseName

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Database user {self.user}"

    def changes(self) -> list[Change]:
        """Name user and grant."""
        return [Change("create", f"database user {self.user}", f"all rights on {self.database} alone")]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge by our password, then by the mark of the database that the user was made for."""
        if not host.databases.user_exists(self.user):
            return ABSENT
        what = f"the database user {self.user}"
        try:
            password = host.vault.secret(mark.instance, PASSWORD)
        except Unavailable:
            raise
        except HostError:
            return Finding("foreign", what)
        if not host.databases.opens(self.user, password):
            return Finding("foreign", what)
        database = host.databases.find(self.database)
        if database is None:
            # A run makes the database first and drops it last: somebody else has been here since.
            return Finding("foreign" if mark.alone else "committed", f"{what}, without its database")
        return Finding(mark.judge(database.comment), what)

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Create the user with the vault's password, then grant."""
        host.databases.create_user(self.user, host.vault.secret(mark.instance, PASSWORD))
        host.databases.grant(self.user, self.database)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Log in with the password."""
        if host.databases.opens(self.user, host.vault.secret(mark.instance, PASSWORD)):
            return None
        return Problem(f"The database user {self.user} cannot log in", "the server refused its password")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Drop the user, its connections ended."""
        host.databases.drop_user(self.user)
