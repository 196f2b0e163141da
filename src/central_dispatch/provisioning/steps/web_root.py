"""The instance's directory. Mark: a file in it; the directory appears under its name complete, by one rename."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step

MARKER = ".central-dispatch"
MARKER_MODE = 0o640
# Root's directories: the tenant and the web server (members of the group) read, nobody else sees them.
ROOT_DIRECTORIES = ("releases", "shared", "log", "health", "var")
# The tenant's own.
TENANT_DIRECTORIES = ("var/log", "var/tmp", "var/sessions")
DIRECTORY_MODE = 0o750


def marker_in(host: Host, directory: str) -> str:
    """Return the text of a directory's marker; empty where it has none. A link is none."""
    path = f"{directory}/{MARKER}"
    entry = host.files.find(path)
    return host.files.read(path).decode(errors="replace") if entry and entry.kind == "file" else ""


def found_inside(host: Host, mark: Mark, directory: str, path: str) -> Finding:
    """Judge what lies at `path` by the marker of the directory that it was made in, since it bears none itself."""
    return Finding(mark.judge(marker_in(host, directory)), path)


class WebRoot(Step):
    """The directory `path` with its fixed folders, owned by root and readable by the group."""

    name: ClassVar[str] = "web_root"

    path: str
    user: str
    group: str
    root: str  # who owns what the tenant must not write

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Web root {self.path}"

    def changes(self) -> list[Change]:
        """Name the directory."""
        return [Change("create", "directory", self.path)]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge by the marker; a prepared or discarded directory of this run is ours, too."""
        rest = [path for path in (mark.staged(self.path), mark.discarded(self.path)) if host.files.find(path)]
        entry = host.files.find(self.path)
        if entry is None:
            return Finding("ours", rest[0]) if rest else ABSENT
        state = mark.judge(marker_in(host, self.path)) if entry.kind == "directory" else "foreign"
        if state == "foreign" and rest:
            return Finding("ours", rest[0])
        return Finding(state, self.path)

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Build it beside its name, then rename."""
        files, staged = host.files, mark.staged(self.path)
        root, tenant = Owner(self.root, self.group), Owner(self.user, self.group)
        files.create_directory(staged, root, DIRECTORY_MODE)
        for name in ROOT_DIRECTORIES:
            files.create_directory(f"{staged}/{name}", root, DIRECTORY_MODE)
        for name in TENANT_DIRECTORIES:
            files.create_directory(f"{staged}/{name}", tenant, DIRECTORY_MODE)
        files.create_file(f"{staged}/{MARKER}", f"{mark.open}\n".encode(), root, MARKER_MODE)
        files.move_new(staged, self.path)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find it with its marker and mode."""
        entry = host.files.find(self.path)
        if entry and entry.mode == DIRECTORY_MODE and mark.judge(marker_in(host, self.path)) == "ours":
            return None
        return Problem(f"The directory {self.path} is not as it was made", f"found {entry}")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Take it out of its name by one rename, then remove it."""
        files = host.files
        files.remove(mark.staged(self.path))
        if host.accounts.separate:
            host.accounts.end_processes(self.user)
        gone = mark.discarded(self.path)
        files.remove(gone)
        entry = files.find(self.path)
        if entry and entry.kind == "directory" and mark.judge(marker_in(host, self.path)) != "foreign":
            files.move_new(self.path, gone)
            files.remove(gone)

    def seal(self, host: Host, mark: Mark) -> None:
        """Replace the marker."""
        marker = f"{self.path}/{MARKER}"
        staged = mark.staged(marker)
        host.files.remove(staged)
        host.files.create_file(staged, f"{mark.sealed}\n".encode(), Owner(self.root, self.group), MARKER_MODE)
        host.files.replace(staged, marker)
