"""What a host contributes to a plan: its directories, programs and certificate, as frozen values."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from central_dispatch.provisioning.ports import DatabaseAddress


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Paths of a certificate on the host, with the SHA-256 (hex) of the DER leaf and the names it covers."""

    certificate: str
    key: str
    chain: str
    fingerprint: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Site:
    """The host's side of a plan. All paths are absolute."""

    install_path: str
    vhost_directory: str
    enabled_directory: str  # empty where a vhost is live as soon as it lies in vhost_directory
    vhost_template: str  # the template's text
    vhost_template_path: str
    certificate_directory: str
    default_certificate: CertificateFiles | None
    archive_directory: str
    pool_directory: str  # PHP-FPM configurations of the instances
    pool_template: str
    runtime_directory: str  # below it one directory an instance, for its socket
    web_server_user: str
    web_server_version: tuple[int, int]
    https_port: int
    http_port: int
    php: str  # the command line interpreter
    php_fpm: str
    database: DatabaseAddress
    separate_users: bool
    worker_user: str  # who the host worker is: the user of everything where there are no separate ones


@dataclass(frozen=True, slots=True)
class Paths:
    """Where an instance's things lie on a host."""

    web_root: str
    release: str

    @property
    def marker(self) -> str:
        """The file that bears the web root's mark."""
        return f"{self.web_root}/.central-dispatch"

    @property
    def code(self) -> str:
        """The release's tree."""
        return f"{self.web_root}/releases/{self.release}"

    @property
    def current(self) -> str:
        """The link to the release that is served."""
        return f"{self.web_root}/current"

    @property
    def shared(self) -> str:
        """Where what the portal writes lies, outside the releases."""
        return f"{self.web_root}/shared"

    @property
    def var(self) -> str:
        """The instance's own logs (`log`), sessions and temporary files, in directories of its user."""
        return f"{self.web_root}/var"

    @property
    def log(self) -> str:
        """The web server's logs of the instance, in a directory that the instance cannot write."""
        return f"{self.web_root}/log"

    @property
    def health(self) -> str:
        """Where the health check's token lies while it is asked for."""
        return f"{self.web_root}/health"


def paths_of(install_path: str, web_root: str, release: str) -> Paths:
    """Return an instance's paths; the names were parsed before."""
    return Paths(str(PurePosixPath(install_path) / web_root), release)
