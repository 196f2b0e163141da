"""The application's configuration from the manifest's templates. Secrets come from the vault as it is written."""

from typing import Any, ClassVar

from central_dispatch.provisioning.manifest import ConfigFile
from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps.application import Application
from central_dispatch.provisioning.steps.web_root import found_inside
from central_dispatch.provisioning.templates import render

# Only the instance's user reads it: the web server is in every instance's group, and a link that one tenant
# lays to another's file must not let it serve a password.
MODE = 0o640


class ConfigFiles(Step):
    """Each file of the manifest's `config`, in the release's tree."""

    name: ClassVar[str] = "config_files"

    source: str  # the manifest's directory
    files: tuple[ConfigFile, ...]
    application: Application
    user: str
    group: str  # who may read beside the user: root's group

    @property
    def title(self) -> str:
        """Name the step."""
        return "Application configuration"

    def changes(self) -> list[Change]:
        """Name each file; the secrets in it are made on the host and never shown."""
        release = self.application.release
        return [
            Change("write", f"{file.target} from {file.template}", f"{release}/{file.target}") for file in self.files
        ]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Find them; the release around them says whose they are."""
        for path in self._paths(mark):
            if host.files.find(path):
                return found_inside(host, mark, self.application.release, path)
        return ABSENT

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Fill each template in and write it under its final name."""
        values = self._values(host, mark)
        for file in self.files:
            path = f"{self.source}/{file.template}"
            text = render(host.files.read(path).decode(), file.kind, values, path)
            if isinstance(text, Problem):
                return text
            target = f"{self.application.release}/{file.target}"
            host.files.create_file(target, text.encode(), Owner(self.user, self.group), MODE)
        return None

    def _values(self, host: Host, mark: Mark) -> dict[str, Any]:
        app = self.application
        return {**app.with_secrets(host, mark), "paths": {"web_root": app.web_root, "release": app.release}}

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find each file with its mode."""
        for file in self.files:
            entry = host.files.find(f"{self.application.release}/{file.target}")
            if entry is None or entry.mode != MODE:
                return Problem(f"The configuration {file.target} is not as it was made", f"found {entry}")
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove the files."""
        for path in self._paths(mark):
            host.files.remove(path)

    def _paths(self, mark: Mark) -> list[str]:
        targets = [f"{self.application.release}/{file.target}" for file in self.files]
        return [*targets, *map(mark.staged, targets)]
