"""A certificate authority of the sandbox's own, and the wildcard certificate that it issues."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from central_dispatch.platforms.linux import us
from central_dispatch.provisioning.ports import Files

_CA_DAYS = 3650
_LEAF_DAYS = 800
_Pair = tuple[x509.Certificate, ec.EllipticCurvePrivateKey]


def make_certificates(files: Files, directory: Path, domain: str, now: dt.datetime) -> None:
    """Make `ca.pem`, `default.pem` and `default.key` (for `domain` and `*.domain`) in the empty directory.

    The authority's key is thrown away: nobody can issue another certificate by it.
    """
    authority = _authority(now)
    leaf = _leaf(domain, authority, now)
    key = leaf[1].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, content, mode in (
        ("ca.pem", authority[0].public_bytes(Encoding.PEM), 0o644),
        ("default.key", key, 0o600),
        ("default.pem", leaf[0].public_bytes(Encoding.PEM), 0o644),
    ):
        files.create_file(str(directory / name), content, us(), mode)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _authority(now: dt.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Central Dispatch sandbox")
    builder = _builder(name, name, key.public_key(), now, _CA_DAYS)
    signing = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(signing, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(key, SHA256()), key


def _leaf(domain: str, authority: _Pair, now: dt.datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority[0].subject
    names = x509.SubjectAlternativeName([x509.DNSName(domain), x509.DNSName(f"*.{domain}")])
    builder = _builder(_name(f"*.{domain}"), issuer, key.public_key(), now, _LEAF_DAYS)
    builder = builder.add_extension(names, critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    known = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority[1].public_key())
    builder = builder.add_extension(known, critical=False)
    return builder.sign(authority[1], SHA256()), key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        # A clock that was set back a little must not make it invalid.
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=days))
    )
