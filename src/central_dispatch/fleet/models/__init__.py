"""The fleet's tables. Only `services` writes to them."""

from central_dispatch.fleet.models.change import Change
from central_dispatch.fleet.models.instance import Instance, InstanceHostname
from central_dispatch.fleet.models.run import Run, RunEvent, RunStep
from central_dispatch.fleet.models.setting import Setting
from central_dispatch.fleet.models.worker import EnrolmentToken, Worker

__all__ = [
    "Change",
    "EnrolmentToken",
    "Instance",
    "InstanceHostname",
    "Run",
    "RunEvent",
    "RunStep",
    "Setting",
    "Worker",
]
