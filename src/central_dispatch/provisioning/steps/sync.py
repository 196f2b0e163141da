"""Everything of the run durable, before the commit says so."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import Act, Change, Output


class Sync(Act):
    """An act: a power cut after the commit must find what the commit promised."""

    name: ClassVar[str] = "sync"

    path: str

    @property
    def title(self) -> str:
        """Name the step."""
        return "Files durable"

    def changes(self) -> list[Change]:
        """Change nothing."""
        return []

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Sync the file system of the web root."""
        host.files.sync(self.path)
        return None
