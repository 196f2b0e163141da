"""The link `current`, by which the web server finds the release. Inside the web root's mark."""

import posixpath
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.names import ReleaseName
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps.web_root import found_inside


class Current(Step):
    """`WEB_ROOT/current` → `releases/RELEASE`, switched by one rename."""

    name: ClassVar[str] = "current"

    link: str
    release: ReleaseName

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Current release {self.release}"

    def changes(self) -> list[Change]:
        """Name link and target."""
        return [Change("create", f"link to releases/{self.release}", self.link)]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Find it; the web root around it says whose it is."""
        for path in (self.link, mark.staged(self.link)):
            if host.files.find(path):
                return found_inside(host, mark, posixpath.dirname(self.link), path)
        return ABSENT

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Make the link beside its name and rename it."""
        host.files.create_link(mark.staged(self.link), f"releases/{self.release}")
        host.files.replace(mark.staged(self.link), self.link)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Read the link."""
        entry = host.files.find(self.link)
        if entry and entry.kind == "link" and entry.target == f"releases/{self.release}":
            return None
        return Problem(f"The link {self.link} does not lead to the release", f"found {entry}")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove the link."""
        host.files.remove(mark.staged(self.link))
        host.files.remove(self.link)
