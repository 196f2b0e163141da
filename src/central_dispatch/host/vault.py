"""The host's root-only store of its instances' secrets: one file an instance, durable before a call returns."""

import base64
import json
import re
import secrets
import string
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from central_dispatch.host import durable
from central_dispatch.provisioning import trust
from central_dispatch.provisioning.problem import HostError, Problem

_ALPHABET = string.ascii_letters + string.digits
_INSTANCE = re.compile(r"[0-9a-f]{32}")
_BLOT = "•••••"
# Shorter texts occur by chance; none of the forms below makes one.
_SHORTEST = 8

#: How a secret of each form is made. All have at least 128 bits.
FORMS: Mapping[str, Callable[[], str]] = {
    "password": lambda: "".join(secrets.choice(_ALPHABET) for _ in range(32)),
    "hex32": lambda: secrets.token_hex(16),
    "base64-32": lambda: base64.b64encode(secrets.token_bytes(32)).decode(),
}


class FileVault:
    """Adapter of `ports.Vault`. `directory` is made at the first secret; threads may share one vault.

    `opener` returns this worker's id and sealing key, as they are at that moment; None before the enrolment.
    """

    def __init__(
        self, directory: Path, opener: Callable[[], tuple[str, X25519PrivateKey] | None] = lambda: None
    ) -> None:
        self._directory = directory
        self._opener = opener
        self._lock = threading.RLock()
        self._known: dict[str, dict[str, str]] = {}

    def secret(self, instance: str, name: str) -> str:
        """See `ports.Vault`."""
        held = self._held(instance)
        if name not in held:
            mend = "Restore the vault's file from a backup, or delete the instance and deploy it anew."
            raise HostError(
                Problem(f"The vault holds no secret “{name}” of this instance", str(self._path(instance)), mend)
            )
        return held[name]

    def make(self, instance: str, names: Mapping[str, str]) -> None:
        """See `ports.Vault`."""
        with self._lock:
            held = self._held(instance)
            lacking = {name: form for name, form in names.items() if name not in held}
            if not lacking:
                return
            unknown = [form for form in lacking.values() if form not in FORMS]
            if unknown:
                raise HostError(Problem(f"No secret has the form “{unknown[0]}”", "", f"Use {', '.join(FORMS)}."))
            made = held | {name: FORMS[form]() for name, form in lacking.items()}
            try:
                durable.make_private(self._directory)
                durable.write(self._path(instance), json.dumps(made).encode())
            except OSError as error:
                raise HostError(_unwritable(self._path(instance), error)) from error
            self._known[instance] = made

    def open_sealed(self, instance: str, purpose: str, sealed: bytes) -> bytes:
        """See `ports.Vault`."""
        ours = self._opener()
        if ours is None:
            raise HostError(
                Problem("This host has no sealing key", "", "Enrol it: central-dispatch worker host enroll.")
            )
        worker, key = ours
        opened = trust.unseal(sealed, key, purpose=purpose, worker=worker, instance=instance)
        if opened is None:
            why = "it was sealed to another host, another instance, or to this host before it enrolled anew"
            raise HostError(Problem("The sealed key cannot be opened", why, "Upload certificate and key again."))
        return opened

    def forget(self, instance: str) -> None:
        """See `ports.Vault`."""
        path = self._path(instance)
        with self._lock:
            try:
                path.unlink()
                durable.sync_directory(self._directory)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise HostError(_unwritable(path, error)) from error
            self._known.pop(instance, None)

    def mask(self, instance: str, text: str) -> str:
        """See `ports.Vault`. Also blots out a secret as a URL or a JSON text would write it."""
        for value in self._held(instance).values():
            if len(value) < _SHORTEST:
                continue
            for form in {value, quote(value, safe=""), value.replace("/", "\\/")}:
                text = text.replace(form, _BLOT)
        return text

    def _path(self, instance: str) -> Path:
        if not _INSTANCE.fullmatch(instance):
            raise HostError(Problem(f"{instance!r} is no instance's id"))
        return self._directory / f"{instance}.json"

    def _held(self, instance: str) -> dict[str, str]:
        with self._lock:
            if instance not in self._known:
                try:
                    self._known[instance] = self._read(self._path(instance))
                except FileNotFoundError:
                    return {}
            return self._known[instance]

    @staticmethod
    def _read(path: Path) -> dict[str, str]:
        try:
            return {str(name): str(value) for name, value in json.loads(durable.read(path)).items()}
        except FileNotFoundError:
            raise
        except (OSError, ValueError, AttributeError) as error:
            raise HostError(Problem(f"{path} cannot be read", str(error), "Restore it from a backup.")) from error


def _unwritable(path: Path, error: OSError) -> Problem:
    return Problem(f"{path} cannot be written", error.strerror or str(error), "Make room or mend the disk; then retry.")
