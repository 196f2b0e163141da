"""What this host lacks to carry instances, and the plan that mends it."""

from pathlib import PurePosixPath

from central_dispatch.platforms.apache_tree import includes, loaded_modules
from central_dispatch.platforms.layouts import Layout
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.ports import Host
from central_dispatch.provisioning.preparations import CATCH_ALL, NOBODY, Lacking, catch_all_text, preparation
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.site import Site

#: What the shipped templates use, and the files that switch each on where modules are switched on by links.
NEEDED_MODULES = {
    "ssl_module": ("setenvif", "mime", "socache_shmcb", "ssl"),
    "proxy_fcgi_module": ("proxy", "proxy_fcgi"),
    "alias_module": ("alias",),
    "dir_module": ("dir",),
}
PRIVATE, PASSABLE = 0o700, 0o755


def prepare(host: Host, layout: Layout, site: Site, sources_directory: str) -> Plan | list[Problem]:
    """Return the plan that makes what is lacking, or what only a person can mend. Read-only."""
    try:
        modules, problems = _modules(host, layout)
        lacking = Lacking(
            directories=tuple(_directories(host, site, sources_directory)),
            modules=tuple(modules),
            include=_include(layout),
            catch_all=_catch_all(host, site),
        )
    except HostError as error:
        return [error.problem]
    return problems or preparation(lacking, site.worker_user)


def _directories(host: Host, site: Site, sources_directory: str) -> list[tuple[str, int]]:
    wanted = {
        site.install_path: PASSABLE,
        site.vhost_directory: PASSABLE,
        site.certificate_directory: PASSABLE,
        site.pool_directory: PASSABLE,
        sources_directory: PASSABLE,
        site.archive_directory: PRIVATE,
    }
    missing: dict[str, int] = {}
    for path, mode in wanted.items():
        for parent in (*reversed(PurePosixPath(path).parents), PurePosixPath(path)):
            if host.files.find(str(parent)) is None:
                missing.setdefault(str(parent), mode if str(parent) == path else PASSABLE)
    return list(missing.items())


def _modules(host: Host, layout: Layout) -> tuple[list[tuple[str, str]], list[Problem]]:
    loaded = loaded_modules(layout)
    links: dict[str, str] = {}
    problems = []
    for module, names in NEEDED_MODULES.items():
        if module in loaded:
            continue
        found = _links(host, layout, names)
        if not found:
            mend = "Install or load it; on Red Hat: dnf install mod_ssl."
            problems.append(Problem(f"Apache lacks the module {module}", "its file was not found", mend))
        links |= found
    return list(links.items()), problems


def _links(host: Host, layout: Layout, names: tuple[str, ...]) -> dict[str, str]:
    """Return link → target for each file of the modules that is not switched on yet; empty where there are none."""
    if not layout.modules_available:
        return {}
    links = {}
    for name in names:
        for ending in (".load", ".conf"):
            available = f"{layout.modules_available}/{name}{ending}"
            link = f"{layout.modules_enabled}/{name}{ending}"
            if host.files.find(available) and host.files.find(link) is None:
                links[link] = f"../{PurePosixPath(layout.modules_available).name}/{name}{ending}"
    return links


def _include(layout: Layout) -> tuple[str, str] | None:
    live = layout.vhost_enabled or layout.vhost_directory
    if includes(layout, live):
        return None
    text = f"# Written by Central Dispatch: the virtual hosts of its instances.\nIncludeOptional {live}/*.conf\n"
    return f"{layout.snippet_directory}/central-dispatch.conf", text


def _catch_all(host: Host, site: Site) -> tuple[str, str, str] | None:
    default = site.default_certificate  # without one there is nothing to answer with: the command line says so
    if default is None or NOBODY in host.web.hostnames():
        return None
    enabled = f"{site.enabled_directory}/{CATCH_ALL}" if site.enabled_directory else ""
    text = catch_all_text(site.https_port, site.http_port, default.certificate, default.key, default.chain)
    return f"{site.vhost_directory}/{CATCH_ALL}", enabled, text
