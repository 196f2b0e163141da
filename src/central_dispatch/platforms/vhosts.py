"""What can be read from Apache's words and files without asking it. Pure, but for the files that a vhost names."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from central_dispatch.provisioning.problem import Problem

_VERSION = re.compile(r"Server version: \S+?/(\d+)\.(\d+)")
_NAMED = re.compile(r"^\s+(?:default server|port \d+ namevhost) (\S+) \((.+):\d+\)$")
_SINGLE = re.compile(r"^\S+:(?:\d+|\*)\s+(?!is a NameVirtualHost)(\S+) \((.+):\d+\)$")
_ALIAS = re.compile(r"^\s+(?:wild )?alias (\S+)$")


def read_version(text: str) -> tuple[int, int] | None:
    """Return major and minor version out of what `-v` prints."""
    found = _VERSION.search(text)
    return (int(found[1]), int(found[2])) if found else None


def read_vhosts(text: str) -> dict[str, str]:
    """Return hostname → file out of what `-D DUMP_VHOSTS` prints; the first file that serves a name has it."""
    names: dict[str, str] = {}
    file = ""
    for line in text.splitlines():
        if found := _NAMED.match(line) or _SINGLE.match(line):
            file = found[2]
            names.setdefault(found[1].lower(), file)
        elif file and (found := _ALIAS.match(line)):
            names.setdefault(found[1].lower(), file)
    return names


def _directives(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and words of each directive; continued lines are joined."""
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), 1):
        first = first or number
        if line.endswith("\\"):
            joined += line[:-1]
            continue
        stripped = (joined + line).strip()
        at, joined, first = first, "", 0
        if stripped and not stripped.startswith("#"):
            yield at, _words(stripped)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return line.split()


def deadly(text: str, path: str) -> Problem | None:
    """Say what in a vhost lets Apache's own check pass, and ends the running server at the next reload.

    That is a port that another program may hold, and a certificate whose key is another's.
    """
    certificate: Mapping[str, str] = {}
    for number, words in _directives(text):
        match words[0].lower():
            case "listen":
                return Problem(
                    f"{path}:{number}: a vhost may not have a Listen directive",
                    "the server would end at the reload where another program holds that port",
                    "Move it to the web server's own configuration (ports.conf).",
                )
            case "<virtualhost" | "</virtualhost>":
                certificate = {}
            case "sslcertificatefile" | "sslcertificatekeyfile" if len(words) > 1:
                certificate = {**certificate, words[0].lower(): words[1]}
                if len(certificate) > 1 and (problem := _mismatch(certificate, f"{path}:{number}")):
                    return problem
    return None


def _mismatch(files: Mapping[str, str], where: str) -> Problem | None:
    certificate, key = files["sslcertificatefile"], files["sslcertificatekeyfile"]
    why = ""
    try:
        leaf = x509.load_pem_x509_certificates(Path(certificate).read_bytes())[0]
        own = load_pem_private_key(Path(key).read_bytes(), password=None).public_key()
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        if leaf.public_key().public_bytes(*form) != own.public_bytes(*form):
            why = f"the key {key} does not belong to the certificate {certificate}"
    except TypeError:
        why = f"the key {key} is encrypted, and the web server would ask for its passphrase"
    except (OSError, ValueError) as error:
        why = str(error)
    return Problem(f"{where}: the certificate does not work", why, "Name a pair that fits.") if why else None
