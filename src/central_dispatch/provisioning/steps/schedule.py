"""The instance's scheduled task: a block in the crontab of its user. Mark: the block's first line."""

import re
import shlex
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step

_BLOCK = re.compile(r"^# (central-dispatch instance=([0-9a-f]{32}) [^\n]*)\n(?:.*\n)*?# end \2\n", re.MULTILINE)


def cron_command(argv: tuple[str, ...]) -> str:
    """Return argv for a crontab line: quoted for the shell that cron starts, `%` escaped from cron itself."""
    return shlex.join(argv).replace("%", r"\%")


class Schedule(Step):
    """A crontab block named after the instance, switched on after the health check."""

    name: ClassVar[str] = "schedule"

    user: str
    instance: str  # name, for people
    cron: str  # five fields
    argv: tuple[str, ...]
    directory: str
    log: str
    own_table: bool  # the table belongs to this instance alone, so any other line in it is foreign

    @property
    def title(self) -> str:
        """Name the step."""
        return f"Scheduled task of {self.instance}"

    def changes(self) -> list[Change]:
        """Show the line."""
        return [Change("create", "crontab entry", f"crontab of {self.user}", self._line())]

    def _line(self) -> str:
        directory, log = cron_command((self.directory,)), cron_command((self.log,))
        return f"{self.cron} cd {directory} && {cron_command(self.argv)} >>{log} 2>&1"

    def _block(self, mark: Mark) -> str:
        return f"# {mark.open}\n# {self.instance}\n{self._line()}\n# end {mark.instance}\n"

    def seal(self, host: Host, mark: Mark) -> None:
        """Change the block's first line and leave every other."""
        table = host.schedules.read(self.user)
        sealed = table.replace(f"# {mark.open}\n", f"# {mark.sealed}\n")
        if sealed != table:
            host.schedules.write(self.user, sealed)

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge our block; in a table of its own anything else is foreign."""
        table = host.schedules.read(self.user)
        for block in _BLOCK.finditer(table):
            if block[2] == mark.instance:
                return Finding(mark.judge(block[1]), f"the crontab entry of {self.instance}")
        if self.own_table and table.strip():
            return Finding("foreign", f"a crontab of {self.user}")
        return ABSENT

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Append the block."""
        table = host.schedules.read(self.user)
        end = "\n" if table and not table.endswith("\n") else ""
        host.schedules.write(self.user, table + end + self._block(mark))
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Read it again."""
        if self._block(mark) in host.schedules.read(self.user):
            return None
        return Problem(f"The crontab of {self.user} does not hold the entry")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Take the block out and leave every other line."""
        table = host.schedules.read(self.user)
        rest = _BLOCK.sub(lambda block: "" if block[2] == mark.instance else block[0], table)
        if rest != table:
            host.schedules.write(self.user, rest if rest.strip() else "")
