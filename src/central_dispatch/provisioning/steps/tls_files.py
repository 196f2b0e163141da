"""The instance's own certificate and key. Mark: the first line of each file, before the PEM text."""

import base64
from collections.abc import Iterator
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.marked_file import MarkedFile
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import Change, Finding, Output, Step, worst

PURPOSE = "tls-key"


KEY_MODE = 0o600


class TlsFiles(Step):
    """`certificate` (leaf and chain, 0644) and `key` (0600). The key comes sealed and is opened as it is written."""

    name: ClassVar[str] = "tls_files"

    certificate: str  # path
    key: str  # path
    pem: str  # leaf, then chain
    sealed_key: str  # base64
    root: str

    @property
    def title(self) -> str:
        """Name the step."""
        return "Certificate and key"

    def changes(self) -> list[Change]:
        """Name both files."""
        return [
            Change("write", "certificate with chain", self.certificate, self.pem),
            Change("write", "private key, 0600", self.key),
        ]

    def _certificate(self) -> MarkedFile:
        return MarkedFile(self.certificate, self.pem, Owner(self.root, self.root), 0o644)

    def _key(self, pem: str) -> MarkedFile:
        return MarkedFile(self.key, pem, Owner(self.root, self.root), KEY_MODE)

    def _both(self) -> Iterator[MarkedFile]:
        yield self._certificate()
        yield self._key("")

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge both by their first line."""
        return worst(file.probe(host.files, mark) for file in self._both())

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Open the key, write both beside their names, rename."""
        sealed = base64.b64decode(self.sealed_key)
        pem = host.vault.open_sealed(mark.instance, PURPOSE, sealed).decode()
        for file in (self._certificate(), self._key(pem)):
            file.stage(host.files, mark)
            file.publish(host.files, mark)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Find the key with its mode."""
        entry = host.files.find(self.key)
        if entry and entry.mode == KEY_MODE and not self._certificate().differs(host.files, mark):
            return None
        return Problem(f"The key {self.key} is not as it was made", f"found {entry}")

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove both."""
        for file in self._both():
            file.clear(host.files, mark, output)

    def seal(self, host: Host, mark: Mark) -> None:
        """Change the first line of both."""
        for file in self._both():
            file.seal(host.files, mark)
