"""The site of a plan: what this host contributes, read from its settings and its programs."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from central_dispatch.platforms.facts import find_php, find_php_fpm
from central_dispatch.platforms.layouts import Layout
from central_dispatch.platforms.linux import us
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.site import CertificateFiles, Site

_TEMPLATES = "central_dispatch.platforms.templates"
SHIPPED_VHOST, SHIPPED_POOL = "vhost.conf.j2", "php-fpm.conf.j2"


@dataclass(frozen=True, slots=True)
class Choices:
    """What the host's administrator chose beyond the layout. Empty texts mean: as shipped, or none."""

    pool_directory: str
    vhost_template: str = ""
    php: str = ""
    php_fpm: str = ""
    default_certificate: str = ""
    default_key: str = ""
    default_chain: str = ""


def site_of(host: Host, layout: Layout, choices: Choices) -> Site:
    """Return the site; raises `HostError` or `OSError` where the web server or a template cannot be read."""
    default = None
    if choices.default_certificate:
        # Names and fingerprint are read at each plan: the file may be renewed at any time.
        paths = (choices.default_certificate, choices.default_key, choices.default_chain)
        default = CertificateFiles(*paths, fingerprint="", names=())
    return Site(
        install_path=layout.install_path,
        vhost_directory=layout.vhost_directory,
        enabled_directory=layout.vhost_enabled,
        vhost_template=_template(host, choices.vhost_template, SHIPPED_VHOST),
        vhost_template_path=choices.vhost_template or SHIPPED_VHOST,
        certificate_directory=layout.certificate_directory,
        default_certificate=default,
        archive_directory=layout.archive_directory,
        pool_directory=choices.pool_directory,
        pool_template=_template(host, "", SHIPPED_POOL),
        runtime_directory=layout.runtime_directory,
        web_server_user=layout.web_user,
        web_server_version=host.web.version(),
        https_port=layout.https_port,
        http_port=layout.http_port,
        php=choices.php or find_php(layout),
        php_fpm=choices.php_fpm or find_php_fpm(layout),
        database=host.databases.address,
        separate_users=host.accounts.separate,
        worker_user=us().user,
    )


def _template(host: Host, path: str, shipped: str) -> str:
    if path:
        # Through the port, which refuses a link that somebody else could have made.
        return host.files.read(path).decode()
    return resources.files(_TEMPLATES).joinpath(shipped).read_text(encoding="utf-8")


def shipped_template(name: str) -> Path:
    """Return where a shipped template lies, for an administrator who wants to start from it."""
    return Path(str(resources.files(_TEMPLATES).joinpath(name)))
