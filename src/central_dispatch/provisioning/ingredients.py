"""What a plan is made of: spec, manifest, site and what the host found, with the names that follow from them. Pure."""

from dataclasses import dataclass

from central_dispatch.provisioning.manifest import Manifest
from central_dispatch.provisioning.names import unix_user_for
from central_dispatch.provisioning.site import CertificateFiles, Paths, Site, paths_of
from central_dispatch.provisioning.spec import InstanceSpec

HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a plan is made of. `uid` is new for a deployment, the found one for a removal."""

    spec: InstanceSpec
    manifest: Manifest
    site: Site
    source: str  # the manifest's directory on the host
    release: str  # the release's tree on the host
    size: int  # bytes of the release's tree
    uid: int
    token: str  # 32 hex digits for the health check
    certificate: CertificateFiles

    @property
    def paths(self) -> Paths:
        """Where the instance's things lie."""
        return paths_of(self.site.install_path, self.spec.web_root, self.spec.release)

    @property
    def user(self) -> str:
        """The user that everything of the instance runs as."""
        return unix_user_for(self.spec.name) if self.site.separate_users else self.site.worker_user

    @property
    def runtime_directory(self) -> str:
        """Where the instance's PHP socket lies."""
        return f"{self.site.runtime_directory}/{self.spec.name}"


def url_of(hostname: str, port: int) -> str:
    """Return the address of an instance."""
    return f"https://{hostname}" if port == HTTPS_PORT else f"https://{hostname}:{port}"


def own_certificate_paths(site: Site, name: str) -> tuple[str, str]:
    """Return where certificate and key lie that an instance brings along: never the host's own default."""
    return f"{site.certificate_directory}/{name}.crt", f"{site.certificate_directory}/{name}.key"
