"""The one grammar of every name that reaches a host (DESIGN.md §6.4).

Each `parse_*` takes what a person typed and returns the canonical form, or raises `ValueError` with one
line that says what is allowed. The `Annotated` types below apply them in pydantic models, so that the
dispatcher and the host refuse the same input with the same words.
"""

import ipaddress
import re
from pathlib import PurePosixPath
from typing import Annotated

import idna
from pydantic import AfterValidator, BeforeValidator, StringConstraints

# Names that would collide with something every host has, or that read as a path.
RESERVED_INSTANCES = frozenset({"default", "localhost", "html", "archives", "root", "www", "mysql", "all"})
# MariaDB's and MySQL's own schemas, and those that a distribution makes.
RESERVED_DATABASES = frozenset(
    {"mysql", "information_schema", "performance_schema", "sys", "test", "phpmyadmin", "lost_found"}
)
RESERVED_DATABASE_USERS = frozenset({"root", "mysql", "mariadb", "admin", "public", "event_scheduler"})

_INSTANCE = re.compile(r"[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,25}")
_DATABASE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DATABASE_USER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_RELEASE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_+-]|\.(?!\.)){0,63}")
_SOURCE = re.compile(r"[a-z][a-z0-9-]{0,62}")
_DIRECTORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|\.(?!\.)){0,62}")
_PATH_PART = re.compile(r"[A-Za-z0-9_.+@=, -]{1,255}")
# The local part without quoting or comments: what mail systems accept everywhere.
_EMAIL_LOCAL = re.compile(r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*")
_SHOWN_CHARACTERS = 60
_HOST_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


def parse_instance_name(text: str) -> str:
    """Return a managed instance's name: 1 to 26 characters, so that `cd-NAME` fits a Unix user's 32."""
    if not _INSTANCE.fullmatch(text):
        raise ValueError(
            "use 1 to 26 lower-case letters, digits and single hyphens, starting with a letter, such as acme-press"
        )
    if text in RESERVED_INSTANCES:
        raise ValueError(f"“{text}” is reserved; choose another name")
    return text


def parse_hostname(text: str) -> str:
    """Return a fully written hostname in its ASCII form; international names become punycode (IDNA 2008)."""
    name = text.strip().rstrip(".").lower()
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise ValueError(f"{_shown(text)} is not a valid hostname; write it like portal.example.com") from None
    labels = name.split(".")
    if len(name) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):  # noqa: PLR2004 RFC 1035
        mend = "write it like portal.example.com, without https:// and port"
        raise ValueError(f"{_shown(text)} is not a valid hostname; {mend}")
    if _is_address(name):
        mend = "a managed instance needs a hostname, such as portal.example.com"
        raise ValueError(f"{_shown(text)} is an address; {mend}")
    return name


def _shown(text: str) -> str:
    """Return what was typed for a message: on one line, bounded, with nothing that a terminal would obey."""
    bounded = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return "“" + "".join(one if one.isprintable() else "�" for one in bounded) + "”"


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        # A browser reads any name whose last label is a number as an address.
        return name.rsplit(".", 1)[-1].isdigit()
    return True


def parse_database_name(text: str) -> str:
    """Return a database name: the part of MariaDB's grammar that needs no escape but for `_` in grants."""
    if not _DATABASE.fullmatch(text):
        raise ValueError("use 1 to 63 lower-case letters, digits and _, starting with a letter")
    if text in RESERVED_DATABASES:
        raise ValueError(f"“{text}” belongs to the database server; choose another name")
    return text


def parse_database_user(text: str) -> str:
    """Return a database user's name: at most 32 characters, what MySQL and MariaDB both take."""
    if not _DATABASE_USER.fullmatch(text):
        raise ValueError("use 1 to 32 lower-case letters, digits and _, starting with a letter")
    if text in RESERVED_DATABASE_USERS:
        raise ValueError(f"“{text}” belongs to the database server; choose another name")
    return text


def parse_source_name(text: str) -> str:
    """Return the name under which a host's administrator registered a source."""
    if not _SOURCE.fullmatch(text):
        raise ValueError("use 1 to 63 lower-case letters, digits and hyphens, starting with a letter")
    return text


def parse_release_name(text: str) -> str:
    """Return a release's name: one directory name, never `.` or `..`."""
    if not _RELEASE.fullmatch(text) or text.endswith("."):
        raise ValueError("use 1 to 64 letters, digits and . _ + -, starting with a letter or digit, such as 6.1.9")
    return text


def parse_directory_name(text: str) -> str:
    """Return one directory name: a web root below a worker's install path."""
    if not _DIRECTORY.fullmatch(text) or text.endswith("."):
        raise ValueError("use one directory name of 1 to 63 letters, digits and . _ -, starting with a letter or digit")
    return text


def parse_relative_path(text: str) -> str:
    """Return a path below some root, `/` between its parts, without `..`, empty or odd parts."""
    path = PurePosixPath(text)
    parts = path.parts
    if not text or text.startswith("/") or not parts or text != str(path):
        raise ValueError("use a relative path such as storage/app, without a leading or doubled /")
    if any(part == ".." or not _PATH_PART.fullmatch(part) for part in parts):
        raise ValueError("a path's parts are letters, digits, spaces and _ . + @ = , - and never ..")
    return text


def parse_absolute_path(text: str) -> str:
    """Return an absolute POSIX path in its shortest form, below `/` but never `/` itself."""
    if not text.startswith("/") or text == "/":
        raise ValueError("use an absolute path such as /var/www")
    parse_relative_path(text[1:].rstrip("/"))
    return "/" + text[1:].rstrip("/")


def parse_email(text: str) -> str:
    """Return an e-mail address that every mail system takes: plain local part, ASCII domain."""
    local, at, domain = text.strip().rpartition("@")
    if not at or len(local) > 64 or not _EMAIL_LOCAL.fullmatch(local):  # noqa: PLR2004 RFC 5321
        raise ValueError("is not an e-mail address; write it like admin@example.com")
    try:
        return f"{local}@{parse_hostname(domain)}"
    except ValueError:
        raise ValueError("is not an e-mail address; write it like admin@example.com") from None


def parse_host_url(text: str) -> str:
    """Return a worker's host URL as `scheme://host[:port]`; a bare host gets `https://`.

    It is the base of default hostnames and links, nothing is fetched from it.
    """
    given = text.strip()
    scheme, separator, rest = given.partition("://")
    if not separator:
        scheme, rest = "https", given
    host, colon, port = rest.rstrip("/").partition(":")
    if scheme not in {"http", "https"} or (colon and not _is_port(port)):
        raise ValueError("write it like https://host.example.com or https://host.example.com:8443")
    if not _is_dotted_quad(host):
        host = parse_hostname(host)
    return f"{scheme}://{host}{colon}{port}"


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text[:6]) < 65536  # noqa: PLR2004 a port has 16 bits


def _is_dotted_quad(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def unix_user_for(instance: str) -> str:
    """Return the Unix account of an instance: own user and group of the same name."""
    return f"cd-{instance}"


def database_name_for(instance: str) -> str:
    """Return the name that the form prefills for database and database user."""
    return instance.replace("-", "_")


InstanceName = Annotated[str, AfterValidator(parse_instance_name)]
Hostname = Annotated[str, AfterValidator(parse_hostname)]
DatabaseName = Annotated[str, AfterValidator(parse_database_name)]
DatabaseUser = Annotated[str, AfterValidator(parse_database_user)]
SourceName = Annotated[str, AfterValidator(parse_source_name)]
ReleaseName = Annotated[str, AfterValidator(parse_release_name)]
DirectoryName = Annotated[str, AfterValidator(parse_directory_name)]
RelativePath = Annotated[str, AfterValidator(parse_relative_path)]
AbsolutePath = Annotated[str, AfterValidator(parse_absolute_path)]
Email = Annotated[str, AfterValidator(parse_email)]
HostUrl = Annotated[str, AfterValidator(parse_host_url)]
WorkerName = Annotated[str, BeforeValidator(str.strip), StringConstraints(pattern=r"^[\w][\w .()-]{0,62}$")]
# Ids are made by the dispatcher (UUID version 7, 32 hex digits) and are part of file names on the host.
Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
