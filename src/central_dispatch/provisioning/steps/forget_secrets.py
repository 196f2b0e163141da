"""The instance's secrets, forgotten when the instance is gone."""

from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import Act, Change, Output


class ForgetSecrets(Act):
    """Remove the instance's secrets from the vault."""

    name: ClassVar[str] = "forget_secrets"

    @property
    def title(self) -> str:
        """Name the step."""
        return "Secrets of the instance"

    def changes(self) -> list[Change]:
        """Name the vault."""
        return [Change("remove", "secrets of the instance", "the host's vault")]

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Forget."""
        host.vault.forget(mark.instance)
        return None
