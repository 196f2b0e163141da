"""What parent and fork server say to each other: one JSON object per packet, descriptors beside it."""

import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

_PACKET = 1 << 16
_DESCRIPTORS = 2


@dataclass(frozen=True, slots=True)
class Rules:
    """What the parent decided about its children; bytes, and a number of jobs."""

    recycle_jobs: int
    resident_bytes: int
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class Start:
    """How a fork server is started. `prepare`: modules, or `module:function` to call, before the first fork."""

    descriptor: int
    stopped_s: float
    prepare: tuple[str, ...]
    rules: Rules

    def to_argv(self) -> list[str]:
        """Return the arguments of its command line."""
        return [json.dumps(asdict(self))]

    @classmethod
    def from_argv(cls, argv: Sequence[str]) -> "Start":
        """Read them."""
        value = json.loads(argv[0])
        return cls(value["descriptor"], value["stopped_s"], tuple(value["prepare"]), Rules(**value["rules"]))


@dataclass(frozen=True, slots=True)
class Order:
    """One packet from the parent."""

    message: dict[str, Any]
    descriptors: list[int]


def say(control: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
    """Send a packet."""
    socket.send_fds(control, [json.dumps(message).encode()], list(descriptors))


def read_order(control: socket.socket) -> Order | None:
    """Return the next packet; None when the other side is gone."""
    content, descriptors, _flags, _address = socket.recv_fds(control, _PACKET, _DESCRIPTORS)
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 the name says it
    return Order(json.loads(content), list(descriptors)) if content else None
