"""Who this host worker is to its dispatcher: credential, pin, sealing key, machine id, last session."""

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from central_dispatch.host import durable
from central_dispatch.provisioning.problem import Problem

_IDENTITY, _KEY, _SESSION, _MACHINE = "identity.json", "sealing-key", "session", "machine-id"
_ETC_MACHINE_ID = Path("/etc/machine-id")
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class Identity:
    """What enrolment gave. `url` is the dispatcher's, `pin` that of its certificate."""

    url: str
    pin: str
    worker: str
    name: str
    fingerprint: str
    credential: str = field(repr=False)


def load(state: Path) -> Identity | Problem | None:
    """Return the identity; None where the host was never enrolled."""
    path = state / _IDENTITY
    try:
        return Identity(**json.loads(durable.read(path)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        mend = "Enrol the host again: central-dispatch worker host enroll --again."
        return Problem(f"{path} cannot be read", str(error), mend)


def save(state: Path, identity: Identity) -> None:
    """Keep the identity, durably."""
    durable.write(state / _IDENTITY, json.dumps(asdict(identity), indent=1).encode())


def sealing_key(state: Path) -> X25519PrivateKey | None:
    """Return the private key to which the portal seals TLS keys; None where there is none."""
    try:
        raw = durable.read(state / _KEY)
    except FileNotFoundError:
        return None
    return X25519PrivateKey.from_private_bytes(raw) if len(raw) == _KEY_BYTES else None


def make_sealing_key(state: Path) -> X25519PrivateKey:
    """Return the sealing key, made at the first call. It stays the same when the host enrols again."""
    key = sealing_key(state)
    if key is None:
        key = X25519PrivateKey.generate()
        durable.write(state / _KEY, key.private_bytes_raw())
    return key


def last_session(state: Path) -> int:
    """Return the number of the last session that the dispatcher gave; 0 where there was none."""
    try:
        return int(durable.read(state / _SESSION))
    except (FileNotFoundError, ValueError):
        return 0


def save_session(state: Path, session: int) -> None:
    """Remember a session, durably: a host that remembers less than its dispatcher was rewound."""
    durable.write(state / _SESSION, b"%d\n" % session)


def machine_id(state: Path, etc: Path = _ETC_MACHINE_ID) -> str:
    """Return this machine's id, 32 hex digits: of /etc/machine-id, else one of our own making.

    The system's id is never sent as it is, which its manual asks for.
    """
    try:
        own = etc.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        own = ""
    if own and own != "uninitialized":
        return hashlib.sha256(f"central-dispatch {own}".encode()).hexdigest()[:32]
    try:
        return durable.read(state / _MACHINE).decode().strip()
    except FileNotFoundError:
        made = uuid.uuid4().hex
        durable.write(state / _MACHINE, made.encode())
        return made
