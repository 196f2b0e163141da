"""The release's code, copied beside its name and renamed when complete. Mark: a file in the release."""

from pathlib import PurePosixPath
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.names import RelativePath
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps.web_root import DIRECTORY_MODE, MARKER, MARKER_MODE, marker_in


class Code(Step):
    """The tree `target`, owned by root, readable by the group; links lead to the shared directories."""

    name: ClassVar[str] = "code"

    source: str
    target: str  # WEB_ROOT/releases/RELEASE
    excluded: tuple[RelativePath, ...]
    shared: tuple[RelativePath, ...]
    group: str
    root: str
    size: int  # bytes, for the plan

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Code of release {PurePosixPath(self.target).name}"

    def changes(self) -> list[Change]:
        """Name source, target and links."""
        megabytes = self.size / 1e6
        copy = Change("copy", f"{self.source} ({megabytes:.1f} MB)", self.target)
        return [copy, *(Change("create", "link to shared", f"{self.target}/{path}") for path in self.shared)]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge by the marker in the release."""
        rest = [path for path in (mark.staged(self.target), mark.discarded(self.target)) if host.files.find(path)]
        if host.files.find(self.target) is None:
            return Finding("ours", rest[0]) if rest else ABSENT
        state = mark.judge(marker_in(host, self.target))
        return Finding("ours" if state == "foreign" and rest else state, self.target)

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Copy, link, mark, rename."""
        files, staged, owner = host.files, mark.staged(self.target), Owner(self.root, self.group)
        files.copy_tree(self.source, staged, owner, (*self.excluded, *self.shared))
        for path in self.shared:
            self._link(host, staged, path)
        files.create_file(f"{staged}/{MARKER}", f"{mark.open}\n".encode(), owner, MARKER_MODE)
        files.move_new(staged, self.target)
        return None

    def _link(self, host: Host, staged: str, path: str) -> None:
        parents = [str(parent) for parent in reversed(PurePosixPath(path).parents[:-1])]
        for parent in parents:
            if host.files.find(f"{staged}/{parent}") is None:
                host.files.create_directory(f"{staged}/{parent}", Owner(self.root, self.group), DIRECTORY_MODE)
        # From releases/RELEASE/a/b up to the web root, then down into shared.
        up = "../" * (len(parents) + 2)
        host.files.create_link(f"{staged}/{path}", f"{up}shared/{path}")

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find the tree with its marker, and each link leading to a directory."""
        if mark.judge(marker_in(host, self.target)) != "ours":
            return Problem(f"The release at {self.target} does not bear its mark")
        for path in self.shared:
            entry = host.files.find(f"{self.target}/{path}")
            if entry is None or entry.kind != "link":
                return Problem(f"The link {self.target}/{path} is missing", f"found {entry}")
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Take it out of its name by one rename, then remove it."""
        gone = mark.discarded(self.target)
        host.files.remove(mark.staged(self.target))
        host.files.remove(gone)
        if host.files.find(self.target) and mark.judge(marker_in(host, self.target)) != "foreign":
            host.files.move_new(self.target, gone)
            host.files.remove(gone)

    def seal(self, host: Host, mark: Mark) -> None:
        """Replace the marker."""
        marker = f"{self.target}/{MARKER}"
        staged = mark.staged(marker)
        host.files.remove(staged)
        host.files.create_file(staged, f"{mark.sealed}\n".encode(), Owner(self.root, self.group), MARKER_MODE)
        host.files.replace(staged, marker)
