"""What each role may do: one table, asked by the services and by the pages that leave a button out."""

from central_dispatch.fleet.actor import Actor, Role
from central_dispatch.fleet.models import Worker

#: The least role for each act. Acts on an instance need, for an operator, a worker that he may use.
LEAST_ROLE: dict[str, Role] = {
    "fleet.view": Role.VIEWER,
    "instance.create": Role.OPERATOR,
    "instance.edit": Role.OPERATOR,
    "instance.plan": Role.OPERATOR,
    "instance.deploy": Role.OPERATOR,
    "instance.delete": Role.OPERATOR,
    "instance.inventory": Role.OPERATOR,
    # Taking over what a machine could not decide is an administrator's.
    "instance.clear": Role.ADMINISTRATOR,
    "run.back_out": Role.OPERATOR,
    "run.retry": Role.ADMINISTRATOR,
    "run.acknowledge": Role.ADMINISTRATOR,
    "worker.create": Role.ADMINISTRATOR,
    "worker.edit": Role.ADMINISTRATOR,
    "worker.invite": Role.ADMINISTRATOR,
    "worker.revoke": Role.ADMINISTRATOR,
    "worker.accept": Role.ADMINISTRATOR,
    "audit.view": Role.ADMINISTRATOR,
    "jobs.view": Role.VIEWER,
    "job.enqueue": Role.OPERATOR,
    "job.interrupt": Role.OPERATOR,
    "job.cancel": Role.OPERATOR,
    "job.retry": Role.OPERATOR,
    "queue.pause": Role.OPERATOR,
    "queue.requeue": Role.OPERATOR,
    "queue.change": Role.ADMINISTRATOR,
    # What is purged or given up does not come back by itself.
    "queue.purge": Role.ADMINISTRATOR,
    "queue.delete": Role.ADMINISTRATOR,
}


def may(actor: Actor, action: str, worker: Worker | None = None) -> bool:
    """Say whether the actor may do it, on this worker where one is given. An unknown action is nobody's."""
    least = LEAST_ROLE.get(action)
    if least is None or not actor.role.includes(least):
        return False
    if worker is None or least is Role.VIEWER or actor.role is Role.ADMINISTRATOR:
        return True
    allowed = {user.pk for user in worker.allowed_users.all()}
    return not allowed or actor.user_id in allowed
