"""The last word before the commit: this instance, on its own hostnames, with its own certificate, at work."""

from typing import ClassVar

from central_dispatch.provisioning.manifest import Health
from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.names import Hostname
from central_dispatch.provisioning.ports import Answer, Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import Act, Change, Output

TOKEN_PATH = "/.well-known/central-dispatch/"  # noqa: S105 a path, not a secret
HTTP_OK = 200
# A graceful reload takes effect within a second; a loaded server gets more.
TIMEOUT_S = 20.0
SHOWN_CHARACTERS = 300


class HealthCheck(Act):
    """An act. A token that only this instance serves on every hostname, then the manifest's own health path."""

    name: ClassVar[str] = "health_check"

    directory: str  # WEB_ROOT/health
    token: str  # 32 hex digits, made for this run
    hostnames: tuple[Hostname, ...]
    certificate: str  # SHA-256 of the DER leaf, hex
    health: Health
    group: str
    root: str

    @property
    def title(self) -> str:
        """Name the step."""
        return "Health check"

    def changes(self) -> list[Change]:
        """Say what is asked."""
        asked = f"{self.health.path} answers {self.health.status} and contains “{self.health.contains}”"
        return [Change("check", f"https://{self.hostnames[0]}", asked)]

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Ask each hostname for the token, then the first one for the health path."""
        path, owner = f"{self.directory}/{self.token}", Owner(self.root, self.group)
        host.files.create_file(path, self.token.encode(), owner, 0o640)
        problem = self._ask(host, mark)
        host.files.remove(path)
        return problem

    def _ask(self, host: Host, mark: Mark) -> Problem | None:
        for hostname in self.hostnames:
            answer = host.web.wait_for(hostname, TOKEN_PATH + self.token, self._is_ours, TIMEOUT_S)
            if answer is None or not self._is_ours(answer):
                return self._not_ours(hostname, answer)
        answer = host.web.wait_for(self.hostnames[0], self.health.path, self._works, TIMEOUT_S)
        if answer and self._works(answer):
            return None
        return self._does_not_work(host, mark, answer)

    def _is_ours(self, answer: Answer) -> bool:
        return (
            answer.status == HTTP_OK
            and answer.body.strip() == self.token.encode()
            and answer.certificate == self.certificate
        )

    def _works(self, answer: Answer) -> bool:
        return (
            answer.status == self.health.status
            and self.health.contains.encode() in answer.body
            and answer.certificate == self.certificate
        )

    def _not_ours(self, hostname: str, answer: Answer | None) -> Problem:
        what = f"https://{hostname} is not answered by this instance"
        if answer is None:
            return Problem(what, "the web server did not answer", "See the web server's error log.")
        if answer.certificate != self.certificate:
            return Problem(
                what, "another certificate was shown", "Does another virtual host hold the name or the port?"
            )
        return Problem(
            what, f"the check's token was answered by status {answer.status}", "See the virtual host's file."
        )

    def _does_not_work(self, host: Host, mark: Mark, answer: Answer | None) -> Problem:
        what = f"https://{self.hostnames[0]}{self.health.path} does not answer as the manifest says"
        if answer is None:
            return Problem(what, "the web server did not answer", "See the web server's error log.")
        # Masked before it is cut: of a secret that is cut in two, nobody would know the half.
        shown = host.vault.mask(mark.instance, answer.body.decode(errors="replace"))[:SHOWN_CHARACTERS]
        to = f", to {answer.location}" if answer.location else ""
        why = f"status {answer.status}{to} instead of {self.health.status} with “{self.health.contains}”: {shown!r}"
        return Problem(what, why, "See the logs in var/log and log of its web root.")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove a token that was left."""
        host.files.remove(f"{self.directory}/{self.token}")
