"""TLS certificates as values: what one covers, and whether certificate, key and chain belong together. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from central_dispatch.provisioning.problem import Problem

# A certificate that is over so soon would fail before anybody looks.
LEAST_LEFT = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificate:
    """The public part of a leaf. Names are lower case, a wildcard as `*.example.com`."""

    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str  # SHA-256 of the DER, hex

    def covers(self, hostname: str) -> bool:
        """Say whether a browser takes it for that hostname: a `*` stands for exactly one label (RFC 6125)."""
        parent = "*." + hostname.partition(".")[2]
        return hostname in self.names or ("." in hostname and parent in self.names)


def read_certificate(pem: str) -> Certificate | Problem:
    """Read the first certificate of a PEM text."""
    leaves = _load(pem, "certificate")
    if isinstance(leaves, Problem):
        return leaves
    leaf = leaves[0]
    return Certificate(
        _names(leaf), leaf.not_valid_before_utc, leaf.not_valid_after_utc, leaf.fingerprint(SHA256()).hex()
    )


def _load(pem: str, field: str) -> list[x509.Certificate] | Problem:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return Problem("is not a certificate", "no PEM block could be read", "Upload the PEM text.", field)


def _names(leaf: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def check(certificate: str, key: str, chain: str, hostnames: tuple[str, ...], now: datetime) -> list[Problem]:
    """Return all that is wrong with an uploaded certificate, its key and its chain (PEM texts), each with its field."""
    leaves = _load(certificate, "certificate")
    if isinstance(leaves, Problem):
        return [leaves]
    problems = [*_check_leaf(certificate, hostnames, now), *_check_key(leaves[0], key)]
    rest = leaves[1:]
    if chain.strip():
        loaded = _load(chain, "chain")
        if isinstance(loaded, Problem):
            return [*problems, loaded]
        rest += loaded
    return [*problems, *_check_chain(leaves[0], rest, now)]


def _check_leaf(pem: str, hostnames: tuple[str, ...], now: datetime) -> list[Problem]:
    read = read_certificate(pem)
    if isinstance(read, Problem):
        return [read]
    problems = []
    if now < read.not_before:
        problems.append(Problem("is not valid yet", f"from {read.not_before:%Y-%m-%d}", field="certificate"))
    if now + LEAST_LEFT > read.not_after:
        mend = "Upload a renewed one."
        problems.append(Problem("has expired or is about to", f"on {read.not_after:%Y-%m-%d}", mend, "certificate"))
    missing = [hostname for hostname in hostnames if not read.covers(hostname)]
    if missing:
        why = f"it is for {', '.join(read.names) or 'no name at all'}"
        problems.append(Problem(f"does not cover {', '.join(missing)}", why, "Upload one that does.", "certificate"))
    return problems


def _check_key(leaf: x509.Certificate, key: str) -> list[Problem]:
    try:
        private = load_pem_private_key(key.encode(), password=None)
    except TypeError:
        mend = "Upload it without a passphrase; it is sealed to the host before it is stored."
        return [Problem("is protected by a passphrase", "the web server could not start with it", mend, "key")]
    except (ValueError, UnsupportedAlgorithm):
        return [Problem("is not a private key", "no PEM block could be read", "Upload the PEM text.", "key")]
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*form) == leaf.public_key().public_bytes(*form):
        return []
    return [Problem("does not fit the certificate", "it belongs to another one", "Upload the pair.", "key")]


def _check_chain(leaf: x509.Certificate, chain: list[x509.Certificate], now: datetime) -> list[Problem]:
    below = leaf
    for number, above in enumerate(chain, start=1):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature):
            why = f"certificate {number} of the chain did not issue the one before it"
            mend = "Put the intermediates in order, the leaf's issuer first."
            return [Problem("is not in order", why, mend, "chain")]
        if now > above.not_valid_after_utc:
            why = f"certificate {number} of the chain is over"
            return [Problem("has expired", why, "Upload the issuer's current chain.", "chain")]
        below = above
    return []
