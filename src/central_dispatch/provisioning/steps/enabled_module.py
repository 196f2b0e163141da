"""A module of the web server, switched on by a link as Debian has it. Mark: the link leads where ours would."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step


class EnabledModule(Step):
    """The link `enabled/FILE` → `../mods-available/FILE`."""

    name: ClassVar[str] = "enabled_module"

    link: str
    target: str

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Web server module {self.link.rpartition('/')[2]}"

    def changes(self) -> list[Change]:
        """Name the link."""
        return [Change("create", f"link to {self.target}", self.link)]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge by where the link leads."""
        entry = host.files.find(self.link)
        if entry is None:
            return ABSENT
        return Finding("ours" if entry.kind == "link" and entry.target == self.target else "foreign", self.link)

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Lay the link."""
        host.files.create_link(self.link, self.target)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find it."""
        if self.probe(host, mark).state == "ours":
            return None
        return Problem(f"The link {self.link} is not as it was made")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove it."""
        host.files.remove(self.link)
