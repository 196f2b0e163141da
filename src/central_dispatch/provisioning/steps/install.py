"""The application's own install command, run as the instance's user."""

import json
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import Act, Change, Output
from central_dispatch.provisioning.steps.application import Application

SHOWN_CHARACTERS = 500


class Install(Act):
    """An act: what it makes lies in the instance's own database and shared directories, which are undone whole."""

    name: ClassVar[str] = "install"

    argv: tuple[str, ...]
    timeout_s: float
    application: Application
    user: str

    @property
    def title(self) -> str:
        """Name the step."""
        return "Install command"

    def changes(self) -> list[Change]:
        """Show the command."""
        return [Change("run", " ".join(self.argv), f"as {self.user} in {self.application.release}")]

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Run it; secrets go in by standard input."""
        completed = host.processes.run(
            self.argv,
            user=self.user,
            directory=self.application.release,
            run=mark.run,
            timeout_s=self.timeout_s,
            output=output,
            stdin=json.dumps(self.application.with_secrets(host, mark)).encode(),
        )
        if completed.exit_code == 0:
            return None
        if completed.exit_code is None:
            why, mend = f"it ran longer than {self.timeout_s:g} s and was ended", "Raise its timeout_s in the manifest."
        else:
            why, mend = f"exit code {completed.exit_code}", "Its output says more; correct the portal and deploy again."
        # Masked before it is cut: of a secret that is cut in two, nobody would know the half.
        told = host.vault.mask(mark.instance, completed.tail).strip().splitlines() or [""]
        last = told[-1][-SHOWN_CHARACTERS:]
        return Problem(f"The install command failed: {' '.join(self.argv)}", f"{why}; last line: {last}", mend)

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """End what of it is still running."""
        host.processes.end_leftovers(mark.run)
