"""From an order to a plan: everything that can be known beforehand is looked at here, read-only, and all at once.

A plan is only made when nothing stands against it; else the list of problems names each field and its mend.
"""

import posixpath
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from central_dispatch.host.catalogue import Release, find_release
from central_dispatch.provisioning.certificate import Certificate, read_certificate
from central_dispatch.provisioning.ingredients import Ingredients, own_certificate_paths
from central_dispatch.provisioning.manifest import Health, Manifest
from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.names import unix_user_for
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.plans import deployment, secrets_of
from central_dispatch.provisioning.ports import Files, Host
from central_dispatch.provisioning.problem import HostError, Problem, Unavailable
from central_dispatch.provisioning.protocol import Item, Order
from central_dispatch.provisioning.removals import clearance, deletion, made_by
from central_dispatch.provisioning.site import CertificateFiles, Site
from central_dispatch.provisioning.spec import InstanceSpec, OwnCertificate
from central_dispatch.provisioning.step import Step
from central_dispatch.provisioning.steps.archive import Archive
from central_dispatch.provisioning.steps.database_user import PASSWORD, DatabaseUser

# What a deployment needs beside its code: configuration, logs, the database's first tables, room to back out.
SPARE_BYTES = 64 << 20
_MOST_LINKS = 8


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, and name and form of the secrets that the vault must hold before it begins."""

    plan: Plan
    secrets: Mapping[str, str]


# What stands for the manifest where only names count: a deletion must not need the source any more.
_ANY_MANIFEST = Manifest(name="any", health=Health(contains="-"))


class Planner:
    """Plans for one host. Reads the host through its ports and changes nothing."""

    def __init__(
        self, host: Host, site: Site, sources_directory: str, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._host = host
        self._site = site
        self._sources = sources_directory
        self._now = now

    def plan(self, order: Order) -> Planned | list[Problem]:
        """Return the plan of an order, or everything that stands against it."""
        match order.kind:
            case "plan" | "deploy":
                return self._deployment(order)
            case "delete":
                return self._deletion(order)
            case "clear":
                given = self._names_only(order.spec)
                return Planned(clearance(given, frozenset(order.items)), {})
            case "inventory":
                return [Problem("an inventory has no plan")]

    def inventory(self, order: Order) -> list[Item]:
        """Return what on this host bears the instance's names, whatever made it."""
        mark, items = Mark(order.spec.id, order.run), []
        for step in made_by(self._names_only(order.spec)):
            finding = step.probe(self._host, mark)
            if finding.state != "absent":
                items.append(Item(key=step.name, what=finding.what, whose=finding.state))
        return items

    def _deployment(self, order: Order) -> Planned | list[Problem]:
        spec = order.spec
        release = find_release(self._host.files, self._sources, spec.source, spec.release)
        certificate = self._certificate(spec)
        problems = [found for found in (release, certificate) if isinstance(found, Problem)]
        problems += self._guarded(lambda: self._host_problems(spec, release))
        if isinstance(release, Problem) or isinstance(certificate, Problem) or problems:
            return problems
        plan = deployment(self._ingredients(spec, release, certificate))
        if isinstance(plan, Problem):
            return [plan]
        taken = self._guarded(lambda: self._taken(plan, Mark(spec.id, order.run)))
        return taken or Planned(plan, secrets_of(release.manifest))

    def _ingredients(self, spec: InstanceSpec, release: Release, certificate: CertificateFiles) -> Ingredients:
        return Ingredients(
            spec=spec,
            manifest=release.manifest,
            site=self._site,
            source=release.source,
            release=release.tree,
            size=release.size,
            uid=self._host.accounts.next_id() if self._site.separate_users else 0,
            token=secrets.token_hex(16),
            certificate=certificate,
        )

    def _names_only(self, spec: InstanceSpec) -> Ingredients:
        user = self._host.accounts.find(unix_user_for(spec.name)) if self._site.separate_users else None
        group = self._host.accounts.find_group(unix_user_for(spec.name)) if self._site.separate_users else None
        certificate, key = own_certificate_paths(self._site, spec.name)
        return Ingredients(
            spec=spec,
            manifest=_ANY_MANIFEST.model_copy(update={"database": self._may_have_database(spec)}),
            site=self._site,
            source="",
            release="",
            size=0,
            uid=user.uid if user else group[0] if group else 0,
            token="",
            certificate=CertificateFiles(certificate, key, "", "", ()),
        )

    def _may_have_database(self, spec: InstanceSpec) -> bool:
        """Say whether a database has to be looked for: a host without a database server carries static sites, too."""
        looks: tuple[Callable[[], str], ...] = (
            lambda: self._host.vault.secret(spec.id, PASSWORD),
            self._host.databases.version,
        )
        for look in looks:
            try:
                look()
            except HostError:
                continue
            return True
        return False

    # What can be known beforehand.

    @staticmethod
    def _guarded(look: Callable[[], Iterator[Problem]]) -> list[Problem]:
        """Collect problems; a part of the host that cannot be looked at is one, too."""
        problems: list[Problem] = []
        try:
            for problem in look():
                problems.append(problem)  # noqa: PERF402 what was found before a failure counts
        except HostError as error:
            problems.append(error.problem)
        return problems

    def _host_problems(self, spec: InstanceSpec, release: Release | Problem) -> Iterator[Problem]:
        yield from self._web_problems(spec)
        if isinstance(release, Problem):
            return
        yield from self._room(release)
        yield from self._programs(release.manifest)
        if release.manifest.database:
            self._host.databases.version()

    def _web_problems(self, spec: InstanceSpec) -> Iterator[Problem]:
        try:
            served = self._host.web.hostnames()
        except HostError as error:
            mend = "Mend the web server's configuration first; nothing was changed."
            yield Problem("the web server's configuration is broken already", str(error), mend, "worker")
            return
        for hostname in spec.hostnames:
            if hostname in served:
                why, mend = f"{served[hostname]} serves it", "Choose another hostname, or remove that virtual host."
                yield Problem(f"{hostname} is taken on this host", why, mend, "hostnames")

    def _room(self, release: Release) -> Iterator[Problem]:
        needed = release.size + SPARE_BYTES
        free = self._host.files.free_bytes(self._site.install_path)
        if free < needed:
            why = f"{needed / 1e6:.0f} MB are needed at {self._site.install_path}, {free / 1e6:.0f} MB are free"
            yield Problem("the host's disk is too full", why, "Make room, then deploy again.", "worker")

    def _programs(self, manifest: Manifest) -> Iterator[Problem]:
        if manifest.runtime != "php":
            return
        for program, path in (("PHP-FPM", self._site.php_fpm), ("PHP's command line", self._site.php)):
            if not path:
                yield Problem(
                    f"{program} is missing on this host", "", "Install it: central-dispatch doctor.", "worker"
                )

    def _certificate(self, spec: InstanceSpec) -> CertificateFiles | Problem:
        """Return the certificate that the instance will show, checked again on the host that will serve it."""
        if isinstance(spec.tls, OwnCertificate):
            read = read_certificate(spec.tls.certificate)
            if isinstance(read, Problem):
                return read
            certificate, key = own_certificate_paths(self._site, spec.name)
            found = CertificateFiles(certificate, key, "", read.fingerprint, read.names)
        else:
            default = self._site.default_certificate
            if default is None:
                mend = "Upload one for the instance, or set default_certificate on the host."
                return Problem("the host has no default certificate", "", mend, "certificate")
            loaded = self._default(default.certificate)
            if isinstance(loaded, Problem):
                what, mend = f"the host's default certificate {default.certificate} is unreadable", "Put it in place."
                return Problem(what, str(loaded), mend, "certificate")
            read = loaded
            found = CertificateFiles(default.certificate, default.key, default.chain, read.fingerprint, read.names)
        return self._covering(read, found, spec)

    def _default(self, path: str) -> Certificate | Problem:
        try:
            return read_certificate(self._host.files.read(_led(self._host.files, path)).decode())
        except HostError as error:
            return error.problem
        except UnicodeDecodeError:
            return Problem("it is not PEM text")

    def _covering(self, read: Certificate, found: CertificateFiles, spec: InstanceSpec) -> CertificateFiles | Problem:
        uncovered = [hostname for hostname in spec.hostnames if not read.covers(hostname)]
        if uncovered:
            why = f"it is for {', '.join(read.names)}"
            mend = "Change the hostnames, or upload a certificate for them."
            return Problem(f"the certificate does not cover {', '.join(uncovered)}", why, mend, "hostnames")
        if self._now() > read.not_after:
            return Problem("the certificate has expired", f"on {read.not_after:%Y-%m-%d}", "Renew it.", "certificate")
        return found

    def _taken(self, plan: Plan, mark: Mark) -> Iterator[Problem]:
        fields = {"database": "database", "database_user": "database_user", "web_root": "web_root"}
        for step in plan.steps:
            finding = step.probe(self._host, mark)
            if not finding.absent:
                why, mend = "it was there before", "Choose another name, or remove it by hand if it is not needed."
                yield Problem(f"there is {finding.what} already", why, mend, fields.get(step.name, "name"))

    # A deletion needs names only: it works without the source, and whatever the deployment had.

    def _deletion(self, order: Order) -> Planned | list[Problem]:
        given, mark = self._names_only(order.spec), Mark(order.spec.id, order.run)
        made = made_by(given)
        present = {step.name for step in made if self._is_present(step, mark)}
        users = [step for step in made if isinstance(step, DatabaseUser)]
        if "database" in present and not all(self._opens(user, mark) for user in users):
            return [_not_to_be_dumped(order.spec)]
        archive = Archive(
            target=f"{self._site.archive_directory}/{self._archive_name(order)}",
            web_root=given.paths.web_root if "web_root" in present else "",
            database=order.spec.database if "database" in present else "",
            database_user=order.spec.database_user,
            user=given.user,
            root=self._site.worker_user,
        )
        return Planned(deletion(given, archive if archive.web_root or archive.database else None), {})

    def _archive_name(self, order: Order) -> str:
        return f"{order.spec.name}-{self._now():%Y%m%dT%H%M%SZ}-{order.run[-8:]}"

    def _opens(self, user: DatabaseUser, mark: Mark) -> bool:
        try:
            return user.opens(self._host, mark)
        except Unavailable:
            # Asked again by the dump itself.
            return True

    def _is_present(self, step: Step, mark: Mark) -> bool:
        try:
            return step.probe(self._host, mark).state in {"ours", "committed"}
        except Unavailable:
            # It is asked again when its turn comes; the archive of what cannot be reached fails then, and says so.
            return True


def _not_to_be_dumped(spec: InstanceSpec) -> Problem:
    """Say why nothing is deleted: a dump is made as the instance's own user, and without one no database goes."""
    return Problem(
        f"the database {spec.database} cannot be dumped",
        f"its user {spec.database_user} does not open it with the password in the host's vault",
        "Give the user that password again or restore the vault; or dump and drop database and user by hand. "
        "Then delete again.",
        "database",
    )


def _led(files: Files, path: str) -> str:
    """Return where links lead from a path of the host's own settings: certbot's live directory holds nothing else."""
    for _ in range(_MOST_LINKS):
        entry = files.find(path)
        if entry is None or entry.kind != "link":
            break
        path = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.target))
    return path
