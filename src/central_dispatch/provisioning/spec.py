"""What an administrator asks for: a managed instance, as typed values (never a template, path or command)."""

from typing import Literal

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, model_validator

from central_dispatch.provisioning.names import (
    DatabaseName,
    DatabaseUser,
    DirectoryName,
    Email,
    Hostname,
    Id,
    InstanceName,
    ReleaseName,
    SourceName,
)


class Frozen(BaseModel):
    """A value that crosses a boundary: unknown fields are refused, nothing changes after parsing."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class OwnCertificate(Frozen):
    """A certificate that the instance brings along; its key is sealed to one host (DESIGN.md §6.3)."""

    kind: Literal["own"] = "own"
    certificate: str = Field(max_length=65_536)  # PEM, the leaf
    chain: str = Field(default="", max_length=262_144)  # PEM, intermediates in order
    sealed_key: Base64Bytes = Field(max_length=65_536)  # HPKE ciphertext of the PEM key


class DefaultCertificate(Frozen):
    """The host's own default (wildcard) certificate."""

    kind: Literal["default"] = "default"


class InstanceSpec(Frozen):
    """One managed instance as the dispatcher sends it to a host."""

    id: Id
    name: InstanceName
    hostnames: tuple[Hostname, ...] = Field(min_length=1, max_length=50)
    source: SourceName
    release: ReleaseName
    web_root: DirectoryName
    database: DatabaseName
    database_user: DatabaseUser
    admin_email: Email
    schedule: bool = True
    tls: OwnCertificate | DefaultCertificate = Field(default=DefaultCertificate(), discriminator="kind")

    @model_validator(mode="after")
    def _hostnames_differ(self) -> "InstanceSpec":
        if len(set(self.hostnames)) != len(self.hostnames):
            raise ValueError("hostnames: each hostname may be named once")
        return self
