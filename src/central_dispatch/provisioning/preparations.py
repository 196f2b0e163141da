"""The plan that prepares a host: what its web server and its directories lack. Pure, and undone like any other."""

from dataclasses import dataclass

from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.plans import seals
from central_dispatch.provisioning.step import Step
from central_dispatch.provisioning.steps.directory import Directory
from central_dispatch.provisioning.steps.enabled_module import EnabledModule
from central_dispatch.provisioning.steps.reload import Reload
from central_dispatch.provisioning.steps.virtual_host import VirtualHost

# No instance: what a preparation makes belongs to the host.
HOST = "0" * 32
# First in the alphabet of any directory of virtual hosts: the server answers unknown names with its first one.
CATCH_ALL = "000-central-dispatch.conf"
# Asked for by nobody: `.invalid` is reserved (RFC 2606).
NOBODY = "central-dispatch.invalid"


@dataclass(frozen=True, slots=True)
class Lacking:
    """What the host lacks, as `host.prepare` found it."""

    directories: tuple[tuple[str, int], ...] = ()  # path, mode; parents first
    modules: tuple[tuple[str, str], ...] = ()  # link, target
    include: tuple[str, str] | None = None  # path and text of a file that includes the vhost directory
    catch_all: tuple[str, str, str] | None = None  # path, enabling link ("" for none) and text


def preparation(lacking: Lacking, root: str) -> Plan:
    """Return the plan; it has no steps where nothing is lacking."""
    steps: list[Step] = [Directory(path=path, mode=mode, root=root) for path, mode in lacking.directories]
    web: list[Step] = [EnabledModule(link=link, target=target) for link, target in lacking.modules]
    if lacking.include:
        path, text = lacking.include
        web.append(VirtualHost(path=path, enabled="", text=text, root=root))
    if lacking.catch_all:
        path, enabled, text = lacking.catch_all
        web.append(VirtualHost(path=path, enabled=enabled, text=text, root=root))
    if web:
        steps += [Reload(when="back"), *web, Reload(when="owed")]
    return Plan("prepare", HOST, "this host", tuple(steps), tuple(seals(steps)))


def catch_all_text(https_port: int, http_port: int, certificate: str, key: str, chain: str) -> str:
    """Return the virtual host that answers whatever no instance serves: with 404, not with a neighbour's page."""
    chained = f"    SSLCertificateChainFile {chain}\n" if chain else ""
    return (
        "# Written by Central Dispatch: an unknown hostname gets 404, not the first instance.\n"
        f"<VirtualHost *:{http_port}>\n    ServerName {NOBODY}\n    Redirect 404 /\n</VirtualHost>\n"
        f"<VirtualHost *:{https_port}>\n    ServerName {NOBODY}\n    Redirect 404 /\n    SSLEngine on\n"
        f"    SSLCertificateFile {certificate}\n    SSLCertificateKeyFile {key}\n{chained}</VirtualHost>\n"
    )
