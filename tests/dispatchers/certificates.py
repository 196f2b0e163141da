"""A root, an intermediate and a leaf, made once."""

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

#: Certificates are made around this time.
NOW = datetime.now(UTC).replace(microsecond=0)
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


ROOT_KEY, MIDDLE_KEY, LEAF_KEY = new_key(), new_key(), new_key()


def certificate(
    subject: str,
    key: Key,
    issuer: str,
    issuer_key: Key,
    *,
    names: tuple[str, ...] = (),
    ends: timedelta = timedelta(days=90),
    begins: timedelta = timedelta(days=-1),
) -> str:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + begins)
        .not_valid_after(NOW + ends)
    )
    if names:
        listed = x509.SubjectAlternativeName([x509.DNSName(text) for text in names])
        builder = builder.add_extension(listed, critical=False)
    return builder.sign(issuer_key, SHA256()).public_bytes(Encoding.PEM).decode()


def pem(key: Key | ed25519.Ed25519PrivateKey, password: bytes = b"") -> str:
    sealed = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, sealed).decode()


ROOT = certificate("root", ROOT_KEY, "root", ROOT_KEY)
MIDDLE = certificate("middle", MIDDLE_KEY, "root", ROOT_KEY)
LEAF = certificate("leaf", LEAF_KEY, "middle", MIDDLE_KEY, names=("acme.example.com", "*.acme.example.com"))
HOSTS = ("acme.example.com", "www.acme.example.com")
