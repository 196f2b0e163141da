"""The instance's database. Mark: the database's comment, which is made with it in one statement."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.names import DatabaseName
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step


class Database(Step):
    """An empty database (utf8mb4)."""

    name: ClassVar[str] = "database"

    database: DatabaseName

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Database {self.database}"

    def changes(self) -> list[Change]:
        """Name the database."""
        return [Change("create", f"database {self.database}", "the host's database server, utf8mb4")]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge by the comment."""
        found = host.databases.find(self.database)
        if found is None:
            return ABSENT
        return Finding(mark.judge(found.comment), f"the database {self.database} with {found.tables} tables")

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Create it with its mark."""
        host.databases.create(self.database, mark.open)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find it again with its mark."""
        if self.probe(host, mark).state == "ours":
            return None
        return Problem(
            f"The database {self.database} does not bear its mark",
            "the server did not keep the database's comment",
            "Central Dispatch needs MariaDB 10.5 or newer.",
        )

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Drop it."""
        host.databases.drop(self.database)

    def seal(self, host: Host, mark: Mark) -> None:
        """Change the comment."""
        host.databases.describe(self.database, mark.sealed)
