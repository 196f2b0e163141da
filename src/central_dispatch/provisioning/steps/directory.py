"""A directory of the host worker's own. Mark: none is possible, so only an empty one counts as ours."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step


class Directory(Step):
    """One directory, with its parents' owner and its own mode."""

    name: ClassVar[str] = "directory"

    path: str
    mode: int
    root: str

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Directory {self.path}"

    def changes(self) -> list[Change]:
        """Name the directory."""
        return [Change("create", f"directory, {self.mode:04o}, owned by {self.root}", self.path)]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Call it ours while it is empty: what holds something has come to be used."""
        entry = host.files.find(self.path)
        if entry is None:
            return ABSENT
        empty = entry.kind == "directory" and not host.files.names(self.path)
        return Finding("ours" if empty else "foreign", self.path)

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Create it."""
        host.files.create_directory(self.path, Owner(self.root, self.root), self.mode)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find it with its mode."""
        entry = host.files.find(self.path)
        if entry and entry.kind == "directory" and entry.mode == self.mode:
            return None
        return Problem(f"The directory {self.path} is not as it was made", f"found {entry}")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove it if it is empty."""
        if self.probe(host, mark).state == "ours":
            host.files.remove(self.path)
