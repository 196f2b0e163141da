"""What dispatcher and host trust each other by: enrolment token, certificate pin, fingerprint, sealed keys.

Both sides use these functions, so that neither can drift from the other. Pure but for the randomness of sealing.
"""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

_TOKEN_VERSION = "cd1"  # noqa: S105 the format's name, no secret
#: RFC 9180, base mode. The info below binds a ciphertext to its purpose, host and instance.
_SUITE = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
TLS_KEY_PURPOSE = "tls-key"


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """What an administrator pastes on the host: a secret that works once, and the dispatcher's pin."""

    secret: str = field(repr=False)
    pin: str

    def to_text(self) -> str:
        """Return `cd1.<secret>.<pin>`."""
        return f"{_TOKEN_VERSION}.{self.secret}.{self.pin}"

    @classmethod
    def from_text(cls, text: str) -> "EnrolmentToken | None":
        """Read what `to_text` wrote; None for anything else."""
        parts = text.strip().split(".")
        if len(parts) != 3 or parts[0] != _TOKEN_VERSION or not all(parts):  # noqa: PLR2004 the three parts
            return None
        return cls(parts[1], parts[2])


def certificate_pin(certificate_der: bytes) -> str:
    """Return the pin of a server's certificate: SHA-256 of its SubjectPublicKeyInfo, base64url without padding.

    It outlives a renewal with the same key.
    """
    key = x509.load_der_x509_certificate(certificate_der).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def fingerprint(sealing_key: bytes) -> str:
    """Return what both sides show for a host's sealing key: 128 bits of its SHA-256 as eight groups of hex digits."""
    digest = hashlib.sha256(sealing_key).hexdigest()[:32]
    return " ".join(digest[start : start + 4] for start in range(0, 32, 4))


def seal(plaintext: bytes, sealing_key: bytes, *, purpose: str, worker: str, instance: str) -> bytes:
    """Encrypt for one host (its X25519 public key, 32 raw bytes), one purpose and one instance."""
    recipient = X25519PublicKey.from_public_bytes(sealing_key)
    return _SUITE.encrypt(plaintext, recipient, info=_info(purpose, worker, instance))


def unseal(ciphertext: bytes, key: X25519PrivateKey, *, purpose: str, worker: str, instance: str) -> bytes | None:
    """Decrypt what `seal` made with the same purpose, worker and instance; None for anything else."""
    try:
        return _SUITE.decrypt(ciphertext, key, info=_info(purpose, worker, instance))
    except (InvalidTag, ValueError):
        return None


def _info(purpose: str, worker: str, instance: str) -> bytes:
    return f"central-dispatch/1|{purpose}|{worker}|{instance}".encode("ascii")
