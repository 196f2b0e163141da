"""What the settings come to on this host: layout, database account, choices; and the ports built from them."""

import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from central_dispatch.host.catalogue import find_manifest, release_names
from central_dispatch.host.settings import Home, HostSettings
from central_dispatch.host.site import Choices
from central_dispatch.host.trusted_file import read_trusted
from central_dispatch.platforms import sandbox
from central_dispatch.platforms.accounts import FIRST_ID, LAST_ID, LinuxAccounts
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.platforms.layouts import LAYOUTS, Layout, detect
from central_dispatch.platforms.linux import DatabaseAccess, build_host, us
from central_dispatch.provisioning.certificate import check, read_certificate
from central_dispatch.provisioning.names import parse_source_name
from central_dispatch.provisioning.ports import Files, Host, Vault
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import CertificateView, SettingsView, SourceView


@dataclass(frozen=True, slots=True)
class Resolved:
    """The settings with every default filled in. Paths are absolute."""

    settings: HostSettings
    layout: Layout
    database: DatabaseAccess
    choices: Choices
    state_directory: Path
    sources_directory: Path


def state_directory_of(settings: HostSettings, home: Home) -> Path:
    """Return the host worker's own place: known even where nothing else about the host is."""
    return Path(settings.state_directory) if settings.state_directory else home.state_directory


def resolve(settings: HostSettings, home: Home) -> Resolved | Problem:
    """Fill in what is not set. Starts nothing and looks at no server."""
    found = _base(settings)
    if isinstance(found, Problem):
        return found
    layout, database = found
    access = _database(settings, layout, database)
    if isinstance(access, Problem):
        return access
    state = state_directory_of(settings, home)
    return Resolved(
        settings=settings,
        layout=_layout(settings, layout),
        database=access,
        choices=Choices(
            pool_directory=settings.pool_directory or _pools(settings, home),
            vhost_template=settings.vhost_template,
            php=settings.php,
            php_fpm=settings.php_fpm,
            default_certificate=settings.default_certificate,
            default_key=settings.default_key,
            default_chain=settings.default_chain,
        ),
        state_directory=state,
        sources_directory=Path(settings.sources_directory or home.sources_directory),
    )


def _pools(settings: HostSettings, home: Home) -> str:
    """Return where PHP-FPM's configurations lie: the instances' users must be able to read them there."""
    if settings.layout == "sandbox":
        return f"{settings.sandbox_directory}/pools"
    return str(home.settings_path.parent / "pools")


def _make_own_places(resolved: Resolved) -> None:
    """Make the directories that are ours alone, where they are missing."""
    own = {
        resolved.choices.pool_directory: 0o755,
        resolved.layout.certificate_directory: 0o755,
        resolved.layout.archive_directory: 0o700,
    }
    files = PosixFiles(resolved.layout.relabel_argv)
    for place, mode in own.items():
        # A disk that is full or a place that is taken shows when a plan is made; a recovery needs none of these.
        with suppress(HostError, OSError):
            if files.find(place) is None:
                Path(place).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                files.create_directory(place, us(), mode)


def build(resolved: Resolved, vault: Vault) -> Host:
    """Return the ports of this host. Raises `HostError` where its own directories cannot be made."""
    _make_own_places(resolved)
    host = build_host(
        resolved.layout, vault=vault, state_directory=str(resolved.state_directory), database=resolved.database
    )
    first, last = resolved.settings.first_uid, resolved.settings.last_uid
    if host.accounts.separate and (first or last):
        counter = str(resolved.state_directory / "last-id")
        return replace(host, accounts=LinuxAccounts(counter, first or FIRST_ID, last or LAST_ID))
    return host


def _base(settings: HostSettings) -> tuple[Layout, DatabaseAccess | None] | Problem:
    if settings.layout == "sandbox":
        if not settings.sandbox_directory:
            return Problem("The sandbox's place is not set", "", "Set sandbox_directory.", field="sandbox_directory")
        try:
            found = sandbox.load(settings.sandbox_directory)
        except HostError as error:
            return error.problem
        return found.layout, found.database
    if settings.layout:
        return LAYOUTS[settings.layout], None
    detected = detect()
    return detected if isinstance(detected, Problem) else (detected, None)


#: Keys of the settings, and the fields of a layout that they replace.
_REPLACED = {
    "install_path": "install_path",
    "archive_directory": "archive_directory",
    "vhost_directory": "vhost_directory",
    "enabled_directory": "vhost_enabled",
    "certificate_directory": "certificate_directory",
    "web_server_user": "web_user",
    "web_server_group": "web_group",
    "web_server_command": "web_argv",
    "web_server_reload": "reload_argv",
    "web_server_restart": "restart_argv",
    "web_server_pid_file": "pid_file",
    "http_port": "http_port",
    "https_port": "https_port",
    "runtime_directory": "runtime_directory",
}


def _layout(settings: HostSettings, layout: Layout) -> Layout:
    chosen = {field: value for key, field in _REPLACED.items() if (value := getattr(settings, key))}
    if settings.php:
        chosen["php_globs"] = (settings.php,)
    if settings.php_fpm:
        chosen["php_fpm_globs"] = (settings.php_fpm,)
    return replace(layout, **chosen)


def _database(settings: HostSettings, layout: Layout, own: DatabaseAccess | None) -> DatabaseAccess | Problem:
    password = ""
    if settings.database_password_file:
        content = read_trusted(Path(settings.database_password_file), private=True)
        if isinstance(content, Problem):
            return replace(content, field="database_password_file")
        if content is None:
            what = f"{settings.database_password_file} is missing"
            mend = "Make it anew: central-dispatch worker host prepare-database."
            return Problem(what, "it holds the provisioning account's password", mend, "database_password_file")
        password = content.decode(errors="replace").strip()
    base = own or DatabaseAccess()
    sockets = [path for path in layout.database_sockets if Path(path).exists()] or list(layout.database_sockets)
    by_socket = settings.database_socket or ("" if settings.database_host else base.socket or sockets[0])
    return DatabaseAccess(
        user=settings.database_user or base.user,
        password=password or ("" if settings.database_user else base.password),
        socket=by_socket,
        host=settings.database_host or base.host,
        port=settings.database_port or base.port,
    )


def checks(resolved: Resolved, now: datetime) -> list[Problem]:
    """Look whether what the settings name is there: programs, directories, template, default certificate."""
    layout, settings = resolved.layout, resolved.settings
    programs = {
        "web_server_command": layout.web_argv[0],
        "web_server_reload": layout.reload_argv[0],
        "web_server_restart": layout.restart_argv[0],
        "php": settings.php,
        "php_fpm": settings.php_fpm,
    }
    places = {
        "install_path": layout.install_path,
        "vhost_directory": layout.vhost_directory,
        "enabled_directory": layout.vhost_enabled,
        "sources_directory": str(resolved.sources_directory),
    }
    problems = [
        Problem(f"{path} is not a program", "", f"Install it, or set {key}.", field=key)
        for key, path in programs.items()
        if path and not os.access(path, os.X_OK)
    ]
    problems += [
        Problem(f"{path} is not a directory", "", f"Make it, or set {key}.", field=key)
        for key, path in places.items()
        if path and not Path(path).is_dir()
    ]
    return [*problems, *_template_problems(settings), *_certificate_problems(settings, now)]


def _template_problems(settings: HostSettings) -> list[Problem]:
    if not settings.vhost_template:
        return []
    content = read_trusted(Path(settings.vhost_template), private=False)
    if content is None:
        return [Problem(f"{settings.vhost_template} is missing", "", "Set vhost_template.", field="vhost_template")]
    return [replace(content, field="vhost_template")] if isinstance(content, Problem) else []


def _certificate_problems(settings: HostSettings, now: datetime) -> list[Problem]:
    """Check the default certificate as an uploaded one is checked; names are not asked for."""
    if not settings.default_certificate:
        return []
    texts = []
    for key in ("default_certificate", "default_key", "default_chain"):
        path = getattr(settings, key)
        # Certificates are often links (/etc/letsencrypt/live): who may write there is the administrator's choice.
        try:
            texts.append(Path(path).read_text(encoding="utf-8") if path else "")
        except (OSError, UnicodeDecodeError) as error:
            return [Problem(f"{path} cannot be read", str(error), f"Set {key}.", field=key)]
    return [
        Problem(
            f"the default {problem.field} {problem.what}", problem.why, problem.mend, field=f"default_{problem.field}"
        )
        for problem in check(texts[0], texts[1], texts[2], (), now)
    ]


def view(resolved: Resolved, files: Files) -> SettingsView:
    """Return what the portal shows. Never raises for a part that cannot be read."""
    layout, database = resolved.layout, resolved.database
    where = f"socket {database.socket}" if database.socket else f"{database.host}:{database.port}"
    return SettingsView(
        install_path=layout.install_path,
        sources=tuple(_source_views(resolved.sources_directory, files)),
        vhost_directory=layout.vhost_directory,
        vhost_template=resolved.choices.vhost_template or "as shipped",
        certificate_directory=layout.certificate_directory,
        default_certificate=_certificate_view(resolved.choices.default_certificate),
        archive_directory=layout.archive_directory,
        web_server_user=layout.web_user,
        web_server_test=shlex.join([*layout.web_argv, "-t"]),
        web_server_reload=shlex.join(layout.reload_argv),
        web_server_restart=shlex.join(layout.restart_argv),
        database=f"{where} as {database.user}",
        https_port=layout.https_port,
    )


def _source_views(directory: Path, files: Files) -> list[SourceView]:
    views = []
    try:
        names = files.names(str(directory))
    except HostError:
        return []
    for name in names:
        try:
            parse_source_name(name)
        except ValueError:
            continue  # a stray file, or a source that is being written
        views.append(_source_view(directory, files, name))
    return views


def _source_view(directory: Path, files: Files, name: str) -> SourceView:
    manifest = find_manifest(files, str(directory), name)
    if isinstance(manifest, Problem):
        return SourceView(name=name, problem=str(manifest))
    try:
        releases = release_names(files, str(directory / name))
    except HostError as error:
        return SourceView(name=name, problem=str(error))
    return SourceView(
        name=name,
        title=manifest.name,
        runtime=manifest.runtime,
        database=manifest.database,
        schedule=manifest.schedule is not None,
        releases=tuple(releases),
        problem="" if releases else "it has no release yet",
    )


def _certificate_view(path: str) -> CertificateView | None:
    if not path:
        return None
    try:
        read = read_certificate(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    if isinstance(read, Problem):
        return None
    return CertificateView(names=read.names, not_after=read.not_after.isoformat(), fingerprint=read.fingerprint)
