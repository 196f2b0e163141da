"""The host's own settings: one TOML file that only root writes, and what it resolves to on this platform.

Whatever names an executable, a template, a user or a path that root writes stands here and nowhere else
(DESIGN.md §6.2). An absent key means: as the platform's layout has it.
"""

import json
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from central_dispatch.host import durable
from central_dispatch.host.trusted_file import read_trusted
from central_dispatch.provisioning.manifest import Argument
from central_dispatch.provisioning.names import parse_absolute_path
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.spec import Frozen

_MACHINE_SETTINGS = Path("/etc/central-dispatch/host.toml")
_MACHINE_STATE = Path("/var/lib/central-dispatch/host")
_MACHINE_SOURCES = Path("/var/lib/central-dispatch/sources")


def _place(text: str) -> str:
    return parse_absolute_path(text) if text else ""


def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    if argv:
        parse_absolute_path(argv[0])
    return argv


Place = Annotated[str, AfterValidator(_place)]
Argv = Annotated[tuple[Argument, ...], AfterValidator(_program)]
Account = Annotated[str, StringConstraints(pattern=r"^([a-z_][a-z0-9_-]{0,31})?$")]
DatabaseAccount = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9_.-]{1,32})?$")]
DatabaseHost = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9.:-]{1,253})?$")]
Port = Annotated[int, Field(ge=0, le=65535)]
Number = Annotated[int, Field(ge=0, le=2**31 - 1)]


class HostSettings(Frozen):
    """All keys of `host.toml`. Empty (or 0) means: as the layout has it."""

    layout: Literal["", "debian", "red-hat", "sandbox"] = ""
    sandbox_directory: Place = ""
    install_path: Place = ""
    sources_directory: Place = ""
    state_directory: Place = ""
    archive_directory: Place = ""
    vhost_directory: Place = ""
    enabled_directory: Place = ""
    vhost_template: Place = ""
    certificate_directory: Place = ""
    default_certificate: Place = ""
    default_key: Place = ""
    default_chain: Place = ""
    web_server_user: Account = ""
    web_server_group: Account = ""
    web_server_command: Argv = ()
    web_server_reload: Argv = ()
    web_server_restart: Argv = ()
    web_server_pid_file: Place = ""
    http_port: Port = 0
    https_port: Port = 0
    php: Place = ""
    php_fpm: Place = ""
    pool_directory: Place = ""
    runtime_directory: Place = ""
    database_socket: Place = ""
    database_host: DatabaseHost = ""
    database_port: Port = 0
    database_user: DatabaseAccount = ""
    database_password_file: Place = ""
    first_uid: Number = 0
    last_uid: Number = 0


#: What each key is, in one line, for `worker host configure`.
KEYS: Mapping[str, str] = {
    "layout": "debian, red-hat or sandbox; found out from /etc/os-release if not set",
    "sandbox_directory": "where the sandbox lies, for layout = sandbox",
    "install_path": "below it each instance gets its web root",
    "sources_directory": "where the sources lie that instances are copied from",
    "state_directory": "the host worker's own place: identity, journals, vault",
    "archive_directory": "where a deletion leaves dump and files",
    "vhost_directory": "where virtual hosts are written",
    "enabled_directory": "where a link switches a virtual host on, if the platform has that",
    "vhost_template": "a Jinja2 template in place of the shipped one",
    "certificate_directory": "where certificates and keys of instances are written",
    "default_certificate": "the host's own (wildcard) certificate, PEM",
    "default_key": "its private key, PEM",
    "default_chain": "its chain, PEM, intermediates in order",
    "web_server_user": "the web server's Unix user",
    "web_server_group": "the web server's Unix group",
    "web_server_command": "the web server's program; its test is this with -t",
    "web_server_reload": "the command that reloads it gracefully",
    "web_server_restart": "the command that restarts it",
    "web_server_pid_file": "where its main process leaves its number",
    "http_port": "the port of plain HTTP",
    "https_port": "the port of HTTPS",
    "php": "PHP's command line program; the newest one if not set",
    "php_fpm": "the PHP-FPM program; the newest one if not set",
    "pool_directory": "where PHP-FPM configurations of instances are written",
    "runtime_directory": "below it each instance has the directory of its PHP socket",
    "database_socket": "the database server's socket (wins over host and port)",
    "database_host": "the database server's host, if not by socket",
    "database_port": "the database server's port, if not by socket",
    "database_user": "the provisioning account",
    "database_password_file": "a file, root's alone, with its password; none: by socket as root",
    "first_uid": "the first user number for instances",
    "last_uid": "the last user number for instances",
}


@dataclass(frozen=True, slots=True)
class Home:
    """Where a host worker keeps its things: the machine's places, or all below one directory."""

    directory: Path | None = None

    @property
    def settings_path(self) -> Path:
        """The settings file."""
        return self.directory / "host.toml" if self.directory else _MACHINE_SETTINGS

    @property
    def state_directory(self) -> Path:
        """The default of `state_directory`."""
        return self.directory / "host" if self.directory else _MACHINE_STATE

    @property
    def sources_directory(self) -> Path:
        """The default of `sources_directory`."""
        return self.directory / "sources" if self.directory else _MACHINE_SOURCES


def load(home: Home) -> HostSettings | Problem:
    """Read the settings; an absent file means all defaults, one that others could have written is refused."""
    values = _read(home)
    return values if isinstance(values, Problem) else _parsed(values, home.settings_path)


def set_values(home: Home, texts: Mapping[str, str]) -> HostSettings | Problem:
    """Change keys, as `worker host configure KEY=VALUE` has them, and write the file in one go.

    An empty text takes a key back to its default; a command is split as a shell would, and never run by one.
    """
    values = _read(home)
    if isinstance(values, Problem):
        return values
    for key, text in texts.items():
        value = _typed(key, text)
        if isinstance(value, Problem):
            return value
        if value == "":
            values.pop(key, None)
        else:
            values[key] = value
    settings = _parsed(values, home.settings_path)
    if isinstance(settings, Problem):
        return settings
    try:
        home.settings_path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        durable.write(home.settings_path, to_toml(settings).encode(), 0o644)
    except OSError as error:
        return Problem(
            f"{home.settings_path} cannot be written",
            error.strerror or "",
            "Run the command as root.",
            field="settings",
        )
    return settings


def to_toml(settings: HostSettings) -> str:
    """Return the file's text: only the keys that differ from their default."""
    values = settings.model_dump(exclude_defaults=True)
    head = "# Settings of this host's worker. Change them with: central-dispatch worker host configure KEY=VALUE\n"
    # Strings, numbers and lists of strings are written alike in JSON and TOML.
    return head + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


def _read(home: Home) -> dict[str, Any] | Problem:
    path = home.settings_path
    content = read_trusted(path, private=False)
    if isinstance(content, Problem):
        return content
    try:
        return tomllib.loads((content or b"").decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        return Problem(f"{path} is not valid TOML", str(error), "Correct the file.", field="settings")


def _parsed(values: Mapping[str, Any], path: Path) -> HostSettings | Problem:
    try:
        return HostSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = str(first["loc"][0]) if first["loc"] else "settings"
        if first["type"] == "extra_forbidden":
            return Problem(f"{path}: there is no setting “{key}”", "", f"Use one of: {', '.join(KEYS)}.", field=key)
        return Problem(f"{path}: {key}", str(first["msg"]), f"It is: {KEYS.get(key, key)}.", field=key)


def _typed(key: str, text: str) -> Any:  # noqa: ANN401 a TOML value of any type
    if key not in KEYS:
        return Problem(f"there is no setting “{key}”", "", f"Use one of: {', '.join(KEYS)}.", field=key)
    kind = HostSettings.model_fields[key].annotation
    if not text:
        return ""
    if kind is int:
        return (
            int(text)
            if text.isascii() and text.isdigit()
            else Problem(f"{key}: “{text}” is not a number", "", f"It is: {KEYS[key]}.", field=key)
        )
    if isinstance(HostSettings.model_fields[key].default, tuple):
        try:
            return shlex.split(text)
        except ValueError as error:
            return Problem(f"{key}: the command cannot be read", str(error), "Close its quotes.", field=key)
    return text
