"""The dispatcher's own certificate: made at the first start, pinned by every enrolment token.

Whoever has a certificate of their own puts `key.pem` and `certificate.pem` into the directory before a start;
one that we did not make is never replaced.
"""

import ipaddress
import os
import secrets
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from central_dispatch.fleet.home import dispatcher_directory, write_private
from central_dispatch.provisioning.trust import certificate_pin

_LIFETIME = timedelta(days=825)
_RENEW_BEFORE = timedelta(days=60)
_MADE_BY = "Central Dispatch (self-made)"


def tls_directory() -> Path:
    """Return where key and certificate are."""
    return dispatcher_directory() / "tls"


def key_path() -> Path:
    """Return the private key's file: PEM, 0600."""
    return tls_directory() / "key.pem"


def certificate_path() -> Path:
    """Return the certificate's file: PEM, the leaf first."""
    return tls_directory() / "certificate.pem"


def dispatcher_pin() -> str:
    """Return the pin of the certificate that is served. It stays when the certificate is renewed."""
    return certificate_pin(_stored().public_bytes(Encoding.DER))


def make_certificate(now: datetime | None = None) -> None:
    """Make key and certificate at the first start; renew our own with the same key when it is near its end."""
    now = now or datetime.now(UTC)
    if not key_path().exists():
        write_private(key_path(), _new_key())
    names = served_names()
    if not certificate_path().exists():
        write_private(certificate_path(), _certificate(names, now))
    elif _is_due(_stored(), names, now):
        _replace(certificate_path(), _certificate(names, now))


def served_names() -> list[str]:
    """Return the names under which the dispatcher is reached."""
    further = os.environ.get("CENTRAL_DISPATCH_HOSTS", "").replace(" ", "").split(",")
    return list(dict.fromkeys(["localhost", socket.gethostname().lower(), *filter(None, further)]))


def _stored() -> x509.Certificate:
    return x509.load_pem_x509_certificates(certificate_path().read_bytes())[0]


def _new_key() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _is_due(certificate: x509.Certificate, names: list[str], now: datetime) -> bool:
    organizations = certificate.issuer.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if not organizations or organizations[0].value != _MADE_BY:
        return False
    extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    covered = {str(name.value) for name in extension.value}
    return certificate.not_valid_after_utc - now < _RENEW_BEFORE or not set(names) <= covered


def _certificate(names: list[str], now: datetime) -> bytes:
    key = load_pem_private_key(key_path().read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{key_path()} is not the EC key that we made; put its certificate beside it")
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _MADE_BY),
            x509.NameAttribute(NameOID.COMMON_NAME, names[-1][:64]),
        ]
    )
    alternatives = [_general_name(text) for text in (*names, "127.0.0.1", "::1")]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    write_private(fresh, content)
    fresh.replace(path)
