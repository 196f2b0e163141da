"""A reload of the web server: a step of its own, on the way forward or on the way back."""

from typing import ClassVar, Literal

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.step import Act, Change, Output


class Reload(Act):
    """When to reload.

    `forward`: now, a failure turns the run round. `back`: nothing now, but when the run is undone. `owed`: now
    if the tree parses, else as soon as it does, since what was removed must not wait for it.
    """

    name: ClassVar[str] = "reload"

    when: Literal["forward", "back", "owed"]

    @property
    def title(self) -> str:
        """Name the step."""
        return "Web server reload" if self.when != "back" else "Web server reload (when backing out)"

    def changes(self) -> list[Change]:
        """Say when it reloads."""
        return [] if self.when == "back" else [Change("reload", "web server", "graceful")]

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Reload, unless it is for the way back."""
        if self.when == "forward":
            if not host.web.running():
                return Problem("The web server does not run", "it cannot take the virtual host over", "Start it.")
            host.web.reload()
        elif self.when == "owed":
            self._reload_or_owe(host, output)
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """On the way back: reload after the virtual host is gone."""
        if self.when == "back":
            self._reload_or_owe(host, output)

    @staticmethod
    def _reload_or_owe(host: Host, output: Output) -> None:
        try:
            if host.web.running():
                host.web.reload()
        except HostError as error:
            host.web.owe_reload()
            output(f"{error.problem}; the reload is owed and will be made up")
