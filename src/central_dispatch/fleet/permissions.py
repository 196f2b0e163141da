"""What each role may do: one table of acts, asked by every address, by the services, and by pages for their buttons.

What is not in the table is nobody's.
"""

from fnmatch import fnmatchcase

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.models import Instance, Worker

_A, _O, _W, _L = Role.ADMINISTRATOR, Role.OPERATOR, Role.WORKER_MANAGER, Role.LIBRARY_MANAGER
_U, _C = Role.INSTANCE_UPGRADES, Role.INSTANCE_CACHE
#: Everybody who holds a role.
EVERYBODY = _A | _O | _W | _L | _U | _C | Role.VIEWER

#: The roles that each act is for; the administrator's is in every row.
ACTS: dict[str, Role] = {
    # One's own account: password, second factor, sessions, tokens within one's own rights.
    "account.own": EVERYBODY,
    "fleet.view": EVERYBODY,
    "instance.create": _A | _O,
    "instance.edit": _A | _O,
    "instance.plan": _A | _O | _U,
    "instance.deploy": _A | _O,
    "instance.upgrade": _A | _O | _U,
    "instance.cache": _A | _O | _C,
    "instance.delete": _A | _O,
    "instance.inventory": _A | _O,
    # Taking over what a machine could not decide is an administrator's.
    "instance.clear": _A,
    "run.back_out": _A | _O,
    "run.retry": _A,
    "run.acknowledge": _A,
    "worker.create": _A,
    "worker.edit": _A,
    "worker.invite": _A,
    "worker.revoke": _A,
    "worker.accept": _A,
    "jobs.view": EVERYBODY,
    "job.enqueue": _A | _O | _W,
    "job.interrupt": _A | _O | _W,
    "job.cancel": _A | _O | _W,
    "job.retry": _A | _O | _W,
    "queue.pause": _A | _O | _W,
    "queue.requeue": _A | _O | _W,
    "schedule.run": _A | _O | _W,
    "schedule.switch": _A | _O | _W,
    # What is purged or given up does not come back by itself.
    "queue.change": _A | _W,
    "schedule.change": _A | _W,
    "assignment.change": _A | _W,
    "store.restored": _A,
    "queue.purge": _A | _W,
    "queue.delete": _A | _W,
    "account.view": _A,
    "account.create": _A,
    "account.change": _A,
    "account.password": _A,
    "account.remove": _A,
    "account.sessions": _A,
    "account.second_factor": _A,
    "token.others": _A,
    "audit.view": _A,
    "settings.view": EVERYBODY,
    "settings.change": _A,
}


def may(actor: Actor, act: str, on: Worker | Instance | None = None) -> bool:
    """Say whether the actor may do it, on this worker or instance where one is given. An unknown act is nobody's."""
    roles = ACTS.get(act)
    if roles is None or not actor.roles & roles or not _in_scope(actor, act):
        return False
    if on is None or actor.administers or act.endswith(".view"):
        return True
    worker = on.worker if isinstance(on, Instance) else on
    return _open_to(worker, actor) and _within(actor, worker, on.pk if isinstance(on, Instance) else "")


def acts_of(roles: Role) -> list[str]:
    """Return what these roles may do, in the table's order."""
    return [act for act, allowed in ACTS.items() if roles & allowed]


def _in_scope(actor: Actor, act: str) -> bool:
    return actor.scope is None or any(fnmatchcase(act, pattern) for pattern in actor.scope)


def _open_to(worker: Worker, actor: Actor) -> bool:
    """Return whether the worker's own list names the actor; an empty one names everybody."""
    allowed = {user.pk for user in worker.allowed_users.all()}
    return not allowed or actor.user_id in allowed


def _within(actor: Actor, worker: Worker, instance_id: str) -> bool:
    limits = actor.limits
    return not limits.confine_fleet or worker.pk in limits.workers or instance_id in limits.instances
