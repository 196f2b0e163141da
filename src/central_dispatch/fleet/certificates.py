"""Checks a certificate that an administrator brings along, before anything is stored. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.protocol import CertificateView

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
_LEAST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class CheckedCertificate:
    """A certificate that a web server can serve: PEM texts in our own writing, and its public facts."""

    certificate: str
    chain: str
    view: CertificateView
    key: bytes = field(repr=False)  # PKCS#8 PEM; sealed at once, never stored


def check_certificate(
    certificate: str, key: str, chain: str, hostnames: Iterable[str], now: datetime
) -> CheckedCertificate | tuple[Problem, ...]:
    """Check that it parses, the key fits, it is valid now, covers the hostnames, and the chain is in order.

    Further certificates in `certificate` (a “full chain” file) count as the beginning of the chain.
    """
    given = _certificates(certificate, "certificate")
    further = _certificates(chain, "chain") if chain.strip() else []
    private = _private_key(key)
    if isinstance(given, Problem) or isinstance(further, Problem) or isinstance(private, Problem):
        return tuple(item for item in (given, private, further) if isinstance(item, Problem))
    leaf, issuers = given[0], [*given[1:], *further]
    found = (
        *_key_problems(leaf, private),
        *_time_problems(leaf, "certificate", now),
        *_name_problems(leaf, hostnames),
        *_chain_problems(leaf, issuers, now),
    )
    if found:
        return found
    return CheckedCertificate(
        certificate=_pem(leaf),
        chain="".join(map(_pem, issuers)),
        view=view_of(leaf),
        key=private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )


def view_of(certificate: x509.Certificate) -> CertificateView:
    """Return the public facts of a certificate."""
    return CertificateView(
        names=tuple(dns_names(certificate)),
        not_after=certificate.not_valid_after_utc.isoformat(),
        fingerprint=certificate.fingerprint(SHA256()).hex(),
    )


def dns_names(certificate: x509.Certificate) -> list[str]:
    """Return the hostnames that browsers accept it for; the common name is none of them."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in extension.value.get_values_for_type(x509.DNSName)]


def covers(names: Iterable[str], hostname: str) -> bool:
    """Say whether a certificate for these names covers a hostname; a `*` stands for one whole first label."""
    _, dot, parent = hostname.partition(".")
    return any(name in {hostname, f"*{dot}{parent}" if dot else hostname} for name in names)


def uncovered(names: Iterable[str], hostnames: Iterable[str]) -> list[str]:
    """Return the hostnames that a certificate for these names does not cover."""
    known = list(names)
    return [hostname for hostname in hostnames if not covers(known, hostname)]


def _certificates(text: str, field_name: str) -> list[x509.Certificate] | Problem:
    if "PRIVATE KEY" in text:
        return Problem("holds a private key", mend="Put the key into its own field.", field=field_name)
    try:
        return x509.load_pem_x509_certificates(text.strip().encode())
    except ValueError:
        return Problem(
            "is not a certificate in PEM form",
            mend="Paste the text from -----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
            field=field_name,
        )


def _private_key(text: str) -> Key | Problem:
    try:
        key = load_pem_private_key(text.strip().encode(), password=None)
    except TypeError:
        return Problem("is protected by a password", mend="Upload the key without its password.", field="key")
    except (ValueError, UnsupportedAlgorithm):
        return Problem(
            "is not a private key in PEM form",
            mend="Paste the text from -----BEGIN PRIVATE KEY----- to -----END PRIVATE KEY-----.",
            field="key",
        )
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        return Problem("is of a kind that browsers do not accept", mend="Use an RSA or EC key.", field="key")
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size < _LEAST_RSA_BITS:
        return Problem(f"has only {key.key_size} bits", mend="Use an RSA key of 2048 bits or more.", field="key")
    return key


def _key_problems(leaf: x509.Certificate, key: Key) -> list[Problem]:
    if _public(leaf.public_key()) == _public(key.public_key()):
        return []
    return [
        Problem("does not fit the certificate", mend="Upload the key that the certificate was made for.", field="key")
    ]


def _public(key: object) -> bytes:
    written: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined] # every public key of the library has it
    return written


def _time_problems(certificate: x509.Certificate, field_name: str, now: datetime) -> list[Problem]:
    name = certificate.subject.rfc4514_string() if field_name == "chain" else ""
    if certificate.not_valid_after_utc <= now:
        ended = f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        return [Problem(f"{name} {ended}".strip(), mend="Renew it and upload the new one.", field=field_name)]
    if certificate.not_valid_before_utc > now:
        begins = f"is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return [Problem(f"{name} {begins}".strip(), mend="Check the clock, or upload it later.", field=field_name)]
    return []


def _name_problems(leaf: x509.Certificate, hostnames: Iterable[str]) -> list[Problem]:
    names = dns_names(leaf)
    missing = uncovered(names, hostnames)
    if not missing:
        return []
    return [
        Problem(
            f"does not cover {', '.join(missing)}",
            f"it is for {', '.join(names)}" if names else "it names no hostname (subject alternative name)",
            "Upload a certificate for every hostname, or remove the hostname.",
            "certificate",
        )
    ]


def _chain_problems(leaf: x509.Certificate, issuers: list[x509.Certificate], now: datetime) -> list[Problem]:
    found: list[Problem] = []
    below = leaf
    for place, issuer in enumerate(issuers, start=1):
        if not _issued_by(below, issuer):
            found.append(
                Problem(
                    f"is not in order: certificate {place} did not issue the one before it",
                    mend="Paste the intermediates in order, the issuer of the certificate first.",
                    field="chain",
                )
            )
            break
        found += _time_problems(issuer, "chain", now)
        below = issuer
    return found


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode("ascii")
