"""What the portal writes (uploads, storage): outside the releases, the tenant's own. Inside the web root's mark."""

import posixpath
from pathlib import PurePosixPath
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.names import RelativePath
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps.web_root import DIRECTORY_MODE, found_inside


class SharedPaths(Step):
    """One directory below `shared` for each path, with what the release brings for it."""

    name: ClassVar[str] = "shared_paths"

    shared: str  # the directory `shared` of the web root
    source: str  # the release's tree
    paths: tuple[RelativePath, ...]
    user: str
    group: str
    root: str

    @property
    def title(self) -> str:
        """Name the step."""
        return "Shared directories"

    def changes(self) -> list[Change]:
        """Name each directory."""
        return [Change("create", f"directory of {self.user}", f"{self.shared}/{path}") for path in self.paths]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Look for the first path of each; the web root around them says whose they are."""
        for path in self.paths:
            top = f"{self.shared}/{PurePosixPath(path).parts[0]}"
            if host.files.find(top):
                return found_inside(host, mark, posixpath.dirname(self.shared), top)
        return ABSENT

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Copy what the release has at the path, else make an empty directory."""
        tenant = Owner(self.user, self.group)
        for path in self.paths:
            self._make_parents(host, path)
            brought = host.files.find(f"{self.source}/{path}")
            if brought and brought.kind == "directory":
                host.files.copy_tree(f"{self.source}/{path}", f"{self.shared}/{path}", tenant)
            else:
                host.files.create_directory(f"{self.shared}/{path}", tenant, DIRECTORY_MODE)
        return None

    def _make_parents(self, host: Host, path: str) -> None:
        for parent in reversed(PurePosixPath(path).parents[:-1]):
            target = f"{self.shared}/{parent}"
            if host.files.find(target) is None:
                host.files.create_directory(target, Owner(self.root, self.group), DIRECTORY_MODE)

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find each directory."""
        for path in self.paths:
            entry = host.files.find(f"{self.shared}/{path}")
            if entry is None or entry.kind != "directory":
                return Problem(f"The shared directory {path} is missing", f"found {entry}")
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove them."""
        for top in {PurePosixPath(path).parts[0] for path in self.paths}:
            host.files.remove(f"{self.shared}/{top}")
