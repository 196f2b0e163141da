"""The plans: which steps, in which order. Pure: a spec, a manifest and a site in, a plan out.

To add a step to a plan, write its file and add one line here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from central_dispatch.provisioning.ingredients import Ingredients, url_of
from central_dispatch.provisioning.manifest import Manifest
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.spec import OwnCertificate
from central_dispatch.provisioning.step import Step
from central_dispatch.provisioning.steps.application import Application
from central_dispatch.provisioning.steps.archive import Archive
from central_dispatch.provisioning.steps.code import Code
from central_dispatch.provisioning.steps.config_files import ConfigFiles
from central_dispatch.provisioning.steps.current import Current
from central_dispatch.provisioning.steps.database import Database
from central_dispatch.provisioning.steps.database_user import PASSWORD, DatabaseUser
from central_dispatch.provisioning.steps.health_check import HealthCheck
from central_dispatch.provisioning.steps.install import Install
from central_dispatch.provisioning.steps.php_pool import PhpPool
from central_dispatch.provisioning.steps.reload import Reload
from central_dispatch.provisioning.steps.schedule import Schedule
from central_dispatch.provisioning.steps.shared_paths import SharedPaths
from central_dispatch.provisioning.steps.sync import Sync
from central_dispatch.provisioning.steps.system_user import SystemUser
from central_dispatch.provisioning.steps.tls_files import TlsFiles
from central_dispatch.provisioning.steps.virtual_host import VirtualHost
from central_dispatch.provisioning.steps.web_root import WebRoot
from central_dispatch.provisioning.tail import Seal
from central_dispatch.provisioning.templates import render

# What bears a mark of its own; the rest lies inside one of these, or is an act. The database user's is its database's.
SEALED = (SystemUser, Database, WebRoot, Code, TlsFiles, PhpPool, VirtualHost, Schedule, Archive)


def secrets_of(manifest: Manifest) -> Mapping[str, str]:
    """Return name and form of each secret that an instance of this manifest needs."""
    own = {PASSWORD: "password"} if manifest.database else {}
    return {**manifest.secrets, **own}


def deployment(given: Ingredients) -> Plan | Problem:
    """Return the plan of a deployment; a `Problem` where a template cannot be filled in."""
    steps: list[Step] = []
    for make in (account_steps, database_steps, _files, _application, _certificate, _web, _last):
        made = make(given)
        if isinstance(made, Problem):
            return made
        steps += made
    return Plan("deploy", given.spec.id, given.spec.name, tuple(steps), tuple(seals(steps)))


def seals(steps: Iterable[Step]) -> list[Step]:
    """Return the steps of a tail that seal each thing with a mark of its own, in the order in which they were made."""
    return [Seal(inner=step.to_json()) for step in steps if isinstance(step, SEALED)]


def account_steps(given: Ingredients) -> list[Step]:
    """Return the step of the instance's Unix user, where the host has separate ones."""
    if not given.site.separate_users:
        return []
    return [
        SystemUser(
            user=given.user,
            uid=given.uid,
            home=given.paths.web_root,
            web_server_user=given.site.web_server_user,
        )
    ]


def database_steps(given: Ingredients) -> list[Step]:
    """Return the steps of database and database user, where the manifest wants them."""
    if not given.manifest.database:
        return []
    spec = given.spec
    return [Database(database=spec.database), DatabaseUser(user=spec.database_user, database=spec.database)]


def _files(given: Ingredients) -> list[Step]:
    manifest, paths, user, root = given.manifest, given.paths, given.user, given.site.worker_user
    steps: list[Step] = [WebRoot(path=paths.web_root, user=user, group=user, root=root)]
    if manifest.shared:
        steps.append(
            SharedPaths(
                shared=paths.shared, source=given.release, paths=manifest.shared, user=user, group=user, root=root
            )
        )
    excluded = (*manifest.excluded, *(file.target for file in manifest.config))
    code = Code(
        source=given.release,
        target=paths.code,
        excluded=excluded,
        shared=manifest.shared,
        group=user,
        root=root,
        size=given.size,
    )
    return [*steps, code, Current(link=paths.current, release=given.spec.release)]


def _described(given: Ingredients) -> Application:
    spec, site, database = given.spec, given.site, given.manifest.database
    return Application(
        name=spec.name,
        url=url_of(spec.hostnames[0], site.https_port),
        hostnames=spec.hostnames,
        admin_email=spec.admin_email,
        web_root=given.paths.web_root,
        release=given.paths.code,
        database=spec.database if database else "",
        database_user=spec.database_user if database else "",
        database_socket=site.database.socket,
        database_host=site.database.host,
        database_port=site.database.port,
        secrets=tuple(given.manifest.secrets),
    )


def _application(given: Ingredients) -> list[Step]:
    manifest, application = given.manifest, _described(given)
    steps: list[Step] = []
    if manifest.config:
        steps.append(
            ConfigFiles(
                source=given.source,
                files=manifest.config,
                application=application,
                user=given.user,
                group=given.site.worker_user,
            )
        )
    if manifest.install:
        argv = arguments(manifest.install.argv, given)
        timeout_s = manifest.install.timeout_s
        steps.append(Install(argv=argv, timeout_s=timeout_s, application=application, user=given.user))
    return steps


def arguments(argv: tuple[str, ...], given: Ingredients) -> tuple[str, ...]:
    """Fill the four placeholders of a manifest's command in."""
    places = {
        "{php}": given.site.php,
        "{release}": given.paths.code,
        "{source}": given.source,
        "{web_root}": given.paths.web_root,
    }
    filled = []
    for argument in argv:
        for place, value in places.items():
            argument = argument.replace(place, value)  # noqa: PLW2901 each pass fills one placeholder
        filled.append(argument)
    return tuple(filled)


def _certificate(given: Ingredients) -> list[Step]:
    tls = given.spec.tls
    if not isinstance(tls, OwnCertificate):
        return []
    pem = tls.certificate.rstrip("\n") + "\n" + tls.chain
    return [
        TlsFiles(
            certificate=given.certificate.certificate,
            key=given.certificate.key,
            pem=pem,
            sealed_key=tls.model_dump(mode="json")["sealed_key"],
            root=given.site.worker_user,
        )
    ]


def _web(given: Ingredients) -> list[Step] | Problem:
    site = given.site
    steps: list[Step] = []
    values = _web_values(given)
    if given.manifest.runtime == "php":
        pool = render(site.pool_template, "fpm", values, "the PHP-FPM template")
        if isinstance(pool, Problem):
            return pool
        steps.append(php_pool_step(given, pool))
    vhost = render(site.vhost_template, "apache", values, site.vhost_template_path)
    if isinstance(vhost, Problem):
        return vhost
    return [*steps, Reload(when="back"), virtual_host_step(given, vhost), Reload(when="forward")]


def php_pool_step(given: Ingredients, text: str) -> PhpPool:
    """Return the step of the instance's PHP-FPM with that configuration."""
    site, name = given.site, given.spec.name
    return PhpPool(
        unit=f"central-dispatch-php-{name}",
        description=f"PHP-FPM of the managed instance {name}",
        php_fpm=site.php_fpm,
        config=f"{site.pool_directory}/{name}.conf",
        text=text,
        runtime_directory=given.runtime_directory,
        user=given.user,
        root=site.worker_user,
    )


def virtual_host_step(given: Ingredients, text: str) -> VirtualHost:
    """Return the step of the virtual host with that text."""
    site, file = given.site, f"{given.spec.name}.conf"
    enabled = f"{site.enabled_directory}/{file}" if site.enabled_directory else ""
    return VirtualHost(path=f"{site.vhost_directory}/{file}", enabled=enabled, text=text, root=site.worker_user)


def _web_values(given: Ingredients) -> dict[str, Any]:
    """Return what the templates of the virtual host and of PHP-FPM know (docs/reference/templates.md)."""
    site, manifest, paths, certificate = given.site, given.manifest, given.paths, given.certificate
    root = manifest.document_root
    document_root = paths.current if root == "." else f"{paths.current}/{root}"
    return {
        "instance": given.spec.name,
        "hostnames": given.spec.hostnames,
        "url": url_of(given.spec.hostnames[0], site.https_port),
        "https_port": site.https_port,
        "http_port": site.http_port,
        "web_root": paths.web_root,
        "current": paths.current,
        "document_root": document_root,
        "source": given.source,
        "shared": manifest.shared,
        "front_controller": manifest.front_controller,
        "php": manifest.runtime == "php",
        "php_settings": manifest.php_settings,
        "socket": f"{given.runtime_directory}/php.sock",
        "user": given.user,
        "certificate": certificate.certificate,
        "key": certificate.key,
        "chain": certificate.chain,
        "apache_24": site.web_server_version >= (2, 4),
    }


def _last(given: Ingredients) -> list[Step]:
    manifest, paths, user = given.manifest, given.paths, given.user
    health = HealthCheck(
        directory=paths.health,
        token=given.token,
        hostnames=given.spec.hostnames,
        certificate=given.certificate.fingerprint,
        health=manifest.health,
        group=user,
        root=given.site.worker_user,
    )
    schedule = [schedule_step(given)] if manifest.schedule and given.spec.schedule else []
    return [health, *schedule, Sync(path=paths.web_root)]


def schedule_step(given: Ingredients) -> Schedule:
    """Return the step of the scheduled task."""
    schedule = given.manifest.schedule
    return Schedule(
        user=given.user,
        instance=given.spec.name,
        cron=schedule.cron if schedule else "* * * * *",
        argv=arguments(schedule.argv, given) if schedule else (given.site.php,),
        directory=given.paths.current,
        log=f"{given.paths.var}/log/schedule.log",
        own_table=given.site.separate_users,
    )
