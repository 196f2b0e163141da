"""`HOME/dispatcher.toml`: which database, which broker, who else vouches for people. No file: SQLite, embedded.

Read by every process that opens a store or a broker. Whoever may write the file may read the database: it counts
only if nobody but its owner can have written it. Passwords are in files of their own, which others cannot read.
"""

import os
import stat
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError

from central_dispatch.provisioning.problem import HostError, Problem

FILE = "dispatcher.toml"
_LIMIT = 1 << 16
_PATHS = {"socket", "password_file", "client_secret_file", "tls"}
_Port = Annotated[int, Field(ge=1, le=65535)]
_Word = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[^\x00-\x1f\x7f]+$")]
_RoleWord = Literal[
    "administrator",
    "operator",
    "instance_upgrades",
    "instance_cache",
    "library_manager",
    "worker_manager",
    "viewer",
]
_Host = Annotated[str, Field(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9_.:\-]+$")]

_HostAndPort = Annotated[str, Field(max_length=261, pattern=r"^[A-Za-z0-9_.\-]+(:[0-9]{1,5})?$")]


class BadConfiguration(HostError):
    """The file, or one that it names, cannot be used: `problem` says what to mend, with its field."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False, hide_input_in_errors=True)


class Database(_Section):
    """Where the dispatcher's tables are. `socket` (PostgreSQL: its directory) in place of host and port.

    `password_file`: None where the server knows us by our Unix user. `tls`: the file of the authority that signed the
    server's certificate; with it, only that server is spoken to, by its name.
    """

    engine: Literal["sqlite", "postgresql", "mariadb"] = "sqlite"
    host: _Host = "127.0.0.1"
    port: _Port | None = None
    socket: Path | None = None
    name: _Word = "central_dispatch"
    user: _Word = "central_dispatch"
    password_file: Path | None = None
    tls: Path | None = None

    @property
    def at_port(self) -> int:
        """The port, the engine's own where none is given."""
        return self.port or (5432 if self.engine == "postgresql" else 3306)

    @property
    def place(self) -> str:
        """Name the server for messages."""
        return str(self.socket) if self.socket else f"{self.host}:{self.at_port}"

    @property
    def password(self) -> str:
        """The password as its file has it now; `BadConfiguration` where it cannot be read."""
        return read_secret(self.password_file, "database.password_file") if self.password_file else ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = self.model_fields_set - {"engine"}
        if self.engine == "sqlite" and given:
            raise _fault(min(given), "SQLite has no such setting", "remove it, or choose another engine")
        if self.socket and given & {"host", "port", "tls"}:
            raise _fault("socket", "there is a host, a port or TLS, too", "use either the socket or the network")
        return self


class Broker(_Section):
    """What carries bells. `tls`: the file of the authority that signed the server's certificate.

    `further_hosts`: the other nodes of a cluster, each `host` or `host:port`; any one that answers will do.
    """

    kind: Literal["embedded", "rabbitmq"] = "embedded"
    host: _Host = "127.0.0.1"
    port: _Port | None = None
    virtual_host: Annotated[str, Field(min_length=1, max_length=255)] = "/"
    user: _Word = "central_dispatch"
    password_file: Path | None = None
    tls: Path | None = None
    cluster: bool = False  # true: quorum queues
    further_hosts: tuple[_HostAndPort, ...] = ()

    @property
    def at_port(self) -> int:
        """The port, the protocol's own where none is given."""
        return self.port or (5671 if self.tls else 5672)

    @property
    def place(self) -> str:
        """Name the server for messages."""
        return f"{self.host}:{self.at_port}"

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """Host and port of each node."""
        further = (address.partition(":") for address in self.further_hosts)
        return ((self.host, self.at_port), *((host, int(port or self.at_port)) for host, _, port in further))

    @property
    def password(self) -> str:
        """The password as its file has it now; `BadConfiguration` where it cannot be read."""
        return read_secret(self.password_file, "broker.password_file") if self.password_file else ""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = self.model_fields_set - {"kind"}
        if self.kind == "embedded" and given:
            raise _fault(min(given), "the embedded broker has no such setting", "remove it, or choose rabbitmq")
        if self.kind == "rabbitmq" and self.password_file is None:
            raise _fault("password_file", "RabbitMQ asks for a password", "name the file that holds it")
        return self


class Oidc(_Section):
    """A provider by which people log in (OpenID Connect). Nobody gets in who is neither mapped nor linked.

    `roles`: what each value of the claim `roles_claim` gives; who has none of them stays out. Without it, only
    accounts that their owners linked to the provider log in by it. `tls`: the file of the authority that signed the
    provider's certificate, where the system does not know it.
    """

    issuer: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$", max_length=500)]
    client_id: _Word
    client_secret_file: Path
    title: Annotated[str, Field(min_length=1, max_length=60)] = "single sign-on"
    scopes: tuple[_Word, ...] = ("openid", "profile", "email")
    username_claim: _Word = "preferred_username"
    roles_claim: _Word = "groups"
    roles: dict[str, tuple[_RoleWord, ...]] = Field(default={}, max_length=200)
    tls: Path | None = None

    @property
    def client_secret(self) -> str:
        """The secret as its file has it now; `BadConfiguration` where it cannot be read."""
        return read_secret(self.client_secret_file, "login.oidc.client_secret_file")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        host = urlsplit(self.issuer).hostname
        if self.issuer.startswith("http:") and host not in {"localhost", "127.0.0.1", "::1"}:
            raise _fault("issuer", "it is not reached over TLS", "write https://")
        return self


class Login(_Section):
    """How people log in, beside their passwords."""

    oidc: Oidc | None = None


class Configuration(_Section):
    """All of the file."""

    database: Database = Database()
    broker: Broker = Broker()
    login: Login = Login()


def configuration_path(home: Path) -> Path:
    """Return where the file lies below a home directory (`--home`)."""
    return home / FILE


def read_configuration(home: Path) -> Configuration:
    """Read the file below a home directory; `BadConfiguration` names file, field and mend. Paths come out absolute."""
    path = configuration_path(home)
    raw = _read_owned(path, str(path), private=False)
    if raw is None:
        return Configuration()
    try:
        value = tomllib.loads(raw.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadConfiguration(Problem(f"{path} is not TOML", str(error), "Correct that line.")) from None
    try:
        return Configuration.model_validate(_with_whole_paths(value, path.parent))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        raise BadConfiguration(_problem(path, fault)) from None


def read_secret(path: Path, field: str) -> str:
    """Return the one line of a file that nobody but its owner reads; `BadConfiguration` where that is not so."""
    raw = _read_owned(path, field, private=True)
    if raw is None:
        raise BadConfiguration(Problem(f"{path} does not exist", "", "Write the password to it, mode 0600.", field))
    text = raw.decode("utf-8", "replace").rstrip("\r\n")
    if not text or "\n" in text:
        raise BadConfiguration(Problem(f"{path} does not hold one line", "", "Write the password alone to it.", field))
    return text


def _read_owned(path: Path, field: str, *, private: bool) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        mend = "Put a plain file there that this user may read."
        raise BadConfiguration(Problem(f"{path} cannot be read", error.strerror or "", mend, field)) from None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        # The directory's owner is the dispatcher's user: root looks after it with the same commands.
        owners = {0, os.geteuid(), path.parent.stat().st_uid}
        if not stat.S_ISREG(found.st_mode) or found.st_uid not in owners:
            mend = "Look at what it says, and make it a plain file of the dispatcher's user."
            raise BadConfiguration(Problem(f"{path} is not the dispatcher's own file", "", mend, field))
        if found.st_mode & (0o077 if private else 0o022):
            verb, mode = ("read", "0600") if private else ("change", "0640")
            mend = f"Look at what it says, then: chmod {mode} {path}"
            raise BadConfiguration(Problem(f"{path} is open to others", f"others may {verb} it", mend, field))
        return file.read(_LIMIT)


def _with_whole_paths(value: dict[str, Any], directory: Path) -> dict[str, Any]:
    """Return the sections, at any depth, with their paths taken from the file's own directory."""
    whole: dict[str, Any] = {}
    for name, entry in value.items():
        if isinstance(entry, dict):
            whole[name] = _with_whole_paths(entry, directory)
        elif name in _PATHS and isinstance(entry, str) and entry:
            whole[name] = str(directory / entry)
        else:
            whole[name] = entry
    return whole


def _fault(field: str, why: str, mend: str) -> PydanticCustomError:
    return PydanticCustomError("fit", "{why}: {mend}", {"field": field, "why": why, "mend": mend})


def _problem(path: Path, fault: ErrorDetails) -> Problem:
    context = fault.get("ctx", {})
    field = ".".join(map(str, (*fault["loc"], *([context["field"]] if fault["type"] == "fit" else []))))
    match fault["type"]:
        case "fit":
            why, mend = context["why"], context["mend"]
        case "extra_forbidden":
            why, mend = "there is no such setting", "correct its name, or remove it"
        case "literal_error":
            why, mend = "there is no such choice", f"use {context['expected']}"
        case "model_type" | "model_attributes_type":
            why, mend = "it is not a section", f"write [{field}] on a line of its own, and its settings below"
        case _:
            why, mend = fault["msg"], "correct it"
    return Problem(f"{path}: {why}", mend=f"{mend[0].upper()}{mend[1:]}.", field=field)
