"""The instance's own PHP-FPM master, run as its user from the start. Marks: its configuration and its unit."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.marked_file import MarkedFile
from central_dispatch.provisioning.ports import Host, Owner, Unit
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step, worst


class PhpPool(Step):
    """Configuration, unit and runtime directory; started before the virtual host that leads to it."""

    name: ClassVar[str] = "php_pool"

    unit: str
    description: str
    php_fpm: str
    config: str  # path
    text: str  # the configuration, without the mark's line
    runtime_directory: str
    user: str
    root: str

    @property
    def title(self) -> str:
        """Name the step."""
        return f"PHP-FPM of {self.user}"

    def changes(self) -> list[Change]:
        """Show the configuration and name the unit."""
        return [
            Change("write", "PHP-FPM configuration", self.config, self.text),
            Change("create", f"service {self.unit}, run as {self.user}", self.runtime_directory),
        ]

    def _config(self) -> MarkedFile:
        return MarkedFile(self.config, self.text, Owner(self.root, self.root), 0o644, comment=";")

    def _unit(self) -> Unit:
        argv = (self.php_fpm, "--nodaemonize", "--fpm-config", self.config)
        return Unit(self.unit, argv, self.user, self.description, self.runtime_directory)

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge the configuration and the unit."""
        borne = host.services.mark_of(self.unit)
        unit = ABSENT if borne is None else Finding(mark.judge(borne), f"the service {self.unit}")
        return worst((self._config().probe(host.files, mark), unit))

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Write the configuration, then define and start the unit."""
        config = self._config()
        config.stage(host.files, mark)
        config.publish(host.files, mark)
        host.services.install(self._unit(), mark.open)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """See that it runs."""
        if host.services.running(self.unit):
            return None
        return Problem(f"The service {self.unit} does not run", "it ended right after its start", "See its log.")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Stop and remove the unit, then the configuration."""
        borne = host.services.mark_of(self.unit)
        if borne is None or mark.judge(borne) != "foreign":
            host.services.remove(self.unit)
            # A removal that was cut short may have lost the definition, which names this directory, first.
            host.files.remove(self.runtime_directory)
        self._config().clear(host.files, mark, output)

    def seal(self, host: Host, mark: Mark) -> None:
        """Change the mark of the unit and of the configuration."""
        borne = host.services.mark_of(self.unit)
        if borne is not None and mark.judge(borne) == "ours":
            host.services.describe(self.unit, mark.sealed)
        self._config().seal(host.files, mark)
