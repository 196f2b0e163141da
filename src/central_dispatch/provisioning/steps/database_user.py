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
        database = host.databases.find(self.database)
        if not self.opens(host, mark):
            # The vault was lost, or somebody changed the password: who has rights on our database alone is its user.
            ours = database is not None and self._has_rights_on_it_alone(host)
            return Finding(mark.judge(database.comment) if database and ours else "foreign", what)
        if database is None:
            # A run makes the database first and drops it last: somebody else has been here since.
            return Finding("foreign" if mark.alone else "committed", f"{what}, without its database")
        return Finding(mark.judge(database.comment), what)

    def opens(self, host: Host, mark: Mark) -> bool:
        """Say whether the vault's password opens the account."""
        try:
            password = host.vault.secret(mark.instance, PASSWORD)
        except Unavailable:
            raise
        except HostError:
            return False
        return host.databases.opens(self.user, password)

    def _has_rights_on_it_alone(self, host: Host) -> bool:
        escaped = self.database.replace("_", r"\_")
        others = [grant for grant in host.databases.grants(self.user) if not grant.startswith("GRANT USAGE ON *.* ")]
        return bool(others) and all(f" ON `{escaped}`.* TO " in grant for grant in others)

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
