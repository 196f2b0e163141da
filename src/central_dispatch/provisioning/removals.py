"""The plans that take away: a deletion, and the clearance of a host that has lost its journal. Pure."""

from central_dispatch.provisioning.ingredients import Ingredients, own_certificate_paths
from central_dispatch.provisioning.plan import Plan
from central_dispatch.provisioning.plans import (
    account_steps,
    database_steps,
    php_pool_step,
    schedule_step,
    seals,
    virtual_host_step,
)
from central_dispatch.provisioning.step import Step
from central_dispatch.provisioning.steps.archive import Archive
from central_dispatch.provisioning.steps.forget_secrets import ForgetSecrets
from central_dispatch.provisioning.steps.reload import Reload
from central_dispatch.provisioning.steps.tls_files import TlsFiles
from central_dispatch.provisioning.steps.virtual_host import VirtualHost
from central_dispatch.provisioning.steps.web_root import WebRoot
from central_dispatch.provisioning.tail import Remove


def made_by(given: Ingredients) -> list[Step]:
    """Return the steps whose things bear the instance's names, in the order of a deployment, whatever was deployed.

    They carry names and paths only: enough to probe and to remove, for a deletion and for a host that has
    lost its journal.
    """
    certificate_path, key_path = own_certificate_paths(given.site, given.spec.name)
    certificate = TlsFiles(
        certificate=certificate_path,
        key=key_path,
        pem="",
        sealed_key="",
        root=given.site.worker_user,
    )
    web_root = WebRoot(path=given.paths.web_root, user=given.user, group=given.user, root=given.site.worker_user)
    pool, virtual_host = php_pool_step(given, ""), virtual_host_step(given, "")
    first = [*account_steps(given), *database_steps(given)]
    return [*first, web_root, certificate, pool, virtual_host, schedule_step(given)]


def deletion(given: Ingredients, archive: Archive | None) -> Plan:
    """Return the plan of a deletion: archive first; after its commit everything goes, last made first.

    Without an archive there is nothing left to archive.
    """
    return Plan(
        "delete",
        given.spec.id,
        given.spec.name,
        (archive,) if archive else (),
        (*seals([archive] if archive else []), *_removals(made_by(given)), ForgetSecrets()),
    )


def clearance(given: Ingredients, confirmed: frozenset[str]) -> Plan:
    """Return the plan that removes the confirmed things (by step name) of a host that has lost its journal."""
    steps = [step for step in made_by(given) if step.name in confirmed]
    return Plan("clear", given.spec.id, given.spec.name, (), _removals(steps, confirmed=True))


def _removals(steps: list[Step], *, confirmed: bool = False) -> tuple[Step, ...]:
    tail: list[Step] = []
    for step in reversed(steps):
        tail.append(Remove(inner=step.to_json(), confirmed=confirmed))
        if isinstance(step, VirtualHost):
            tail.append(Reload(when="owed"))
    return tuple(tail)
