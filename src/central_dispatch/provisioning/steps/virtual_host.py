"""The instance's virtual host. Mark: the file's first line; the enabling link is ours if it leads to that file."""

import posixpath
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.marked_file import MarkedFile
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import Change, Finding, Output, Step, worst


class VirtualHost(Step):
    """The file, tested with the whole live tree before it gets its name, and the link that enables it."""

    name: ClassVar[str] = "virtual_host"

    path: str
    enabled: str  # the link's path; empty where none is needed
    text: str
    root: str

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Virtual host {posixpath.basename(self.path)}"

    def changes(self) -> list[Change]:
        """Show the file and name the link."""
        file = Change("write", "virtual host", self.path, self.text)
        return [file, Change("create", "link that enables it", self.enabled)] if self.enabled else [file]

    def _file(self) -> MarkedFile:
        return MarkedFile(self.path, self.text, Owner(self.root, self.root), 0o644)

    def _target(self) -> str:
        return posixpath.relpath(self.path, posixpath.dirname(self.enabled))

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge the file; the link is made after it and removed before it."""
        file = self._file().probe(host.files, mark)
        link = host.files.find(self.enabled) if self.enabled else None
        if link is None:
            return file
        leads_here = link.kind == "link" and link.target in {self._target(), self.path}
        if leads_here and not file.absent:
            return file
        return worst((file, Finding("foreign", self.enabled)))

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Test it beside the live tree, then publish and enable it."""
        file = self._file()
        with host.web.writer():
            staged = file.stage(host.files, mark)
            problem = host.web.test(staged)
            if problem:
                host.files.remove(staged)
                return problem
            file.publish(host.files, mark)
            if self.enabled:
                host.files.create_link(self.enabled, self._target())
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Read the file again, and find the link."""
        link = host.files.find(self.enabled) if self.enabled else None
        if self._file().differs(host.files, mark) or (self.enabled and (link is None or link.kind != "link")):
            return Problem(f"The virtual host {self.path} is not as it was made")
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Disable, then remove. Never waits for the web server's check: taking our own file away mends, if anything."""
        with host.web.writer():
            file = self._file().probe(host.files, mark)
            link = host.files.find(self.enabled) if self.enabled else None
            ours = file.state in {"ours", "committed"}
            if ours and link and link.kind == "link" and link.target in {self._target(), self.path}:
                host.files.remove(self.enabled)
            self._file().clear(host.files, mark, output)

    def seal(self, host: Host, mark: Mark) -> None:
        """Change the file's first line, which the web server does not read."""
        with host.web.writer():
            self._file().seal(host.files, mark)
