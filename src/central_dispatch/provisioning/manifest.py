"""`portal.toml`: what a source says of itself, so that a host can run copies of it.

The manifest lies in the source's root-owned directory on the host, with its templates beside it:

    SOURCES/NAME/portal.toml
    SOURCES/NAME/…             templates and scripts that the manifest names
    SOURCES/NAME/releases/R/   one immutable tree a release
"""

import tomllib
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, ValidationError, model_validator

from central_dispatch.provisioning.names import RelativePath, parse_relative_path
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.spec import Frozen

Argument = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00\r\n]*$")]
SecretForm = Literal["password", "hex32", "base64-32"]
SecretName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Command(Frozen):
    """A command of the portal, run as the instance's user in its release.

    In the arguments `{php}` is the host's PHP, `{release}` the release's directory, `{source}` the manifest's
    directory, `{web_root}` the instance's directory. Standard input carries a JSON object: `instance` (name,
    url, hostnames, admin_email), `database` (name, user, password, socket, host, port) and `secrets`.
    """

    argv: tuple[Argument, ...] = Field(min_length=1, max_length=64)
    timeout_s: float = Field(default=300.0, gt=0, le=7200)


class ConfigFile(Frozen):
    """A file of the application's configuration, made from a typed template.

    `kind` says how a substituted value is written: as a PHP literal, a dotenv value, an INI value, or JSON.
    """

    template: RelativePath
    target: RelativePath
    kind: Literal["php", "env", "ini", "json"]


class Health(Frozen):
    """What the portal answers when it works, through PHP and its database."""

    path: Annotated[str, StringConstraints(pattern=r"^/[A-Za-z0-9_./?=&%+-]{0,500}$")] = "/"
    status: int = Field(default=200, ge=200, le=599)
    contains: Annotated[str, StringConstraints(min_length=1, max_length=500)]


class Schedule(Frozen):
    """The portal's scheduled task: a command and the five fields of cron."""

    argv: tuple[Argument, ...] = Field(min_length=1, max_length=64)
    cron: Annotated[str, StringConstraints(pattern=r"^[0-9*/,-]+( [0-9*/,-]+){4}$")] = "* * * * *"


class Manifest(Frozen):
    """All of `portal.toml`."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    runtime: Literal["php", "static"] = "php"
    document_root: Annotated[str, StringConstraints(max_length=255)] = "."
    front_controller: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]{0,100}$")] = ""
    database: bool = True
    config: tuple[ConfigFile, ...] = ()
    shared: tuple[RelativePath, ...] = ()
    excluded: tuple[RelativePath, ...] = ()
    secrets: dict[SecretName, SecretForm] = Field(default_factory=dict)
    php_settings: dict[Annotated[str, StringConstraints(pattern=r"^[a-z0-9_.]{1,64}$")], str | int | bool] = Field(
        default_factory=dict
    )
    install: Command | None = None
    migrate: Command | None = None
    cache: Command | None = None
    schedule: Schedule | None = None
    health: Health

    @model_validator(mode="after")
    def _paths_are_apart(self) -> "Manifest":
        if self.document_root != ".":
            parse_relative_path(self.document_root)
        for one in self.shared:
            for other in self.shared:
                if one != other and other.startswith(f"{one}/"):
                    raise ValueError(f"shared: {other} lies inside {one}; name only the outer one")
        if self.runtime == "static" and (self.database or self.install or self.schedule):
            raise ValueError("runtime: a static portal has no database, install command or schedule")
        return self


def read_manifest(text: str, path: str) -> Manifest | Problem:
    """Parse a manifest; `path` is named in the problem."""
    try:
        value: dict[str, Any] = tomllib.loads(text)
        return Manifest.model_validate(value)
    except tomllib.TOMLDecodeError as error:
        return Problem(f"{path} is not valid TOML", str(error), "Correct the file.", field="source")
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        return Problem(f"{path}: {where or 'manifest'}", first["msg"], "Correct the file.", field="source")
