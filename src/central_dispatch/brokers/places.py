"""Which broker this installation has, for every process that rings or listens."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from central_dispatch import configuration
from central_dispatch.brokers.embedded import EmbeddedBroker
from central_dispatch.jobs.ports import Broker

if TYPE_CHECKING:
    from central_dispatch.brokers.rabbitmq.link import Place


def open_broker(home: Path) -> Broker:
    """Return the broker of a home directory (`--home`), as its `dispatcher.toml` says. Connects to nothing yet.

    `BadConfiguration` where the file, or the password's, cannot be used.
    """
    found = configuration.read_configuration(home).broker
    if found.kind == "rabbitmq":
        return _rabbitmq(found)
    return EmbeddedBroker(home / "dispatcher" / "bells")


def _rabbitmq(found: configuration.Broker) -> Broker:
    # Only where it is wanted: the client takes a while to import, and is an extra.
    from central_dispatch.brokers.rabbitmq.broker import RabbitBroker  # noqa: PLC0415 see above

    return RabbitBroker(_place(found))


def look(found: configuration.Broker, kinds: Collection[str]) -> tuple[str, tuple[str, ...]]:
    """Look at the RabbitMQ of a configuration: its version, and what is wrong with it, in lines. Leaves nothing."""
    from central_dispatch.brokers.rabbitmq import checking  # noqa: PLC0415 as above

    seen = checking.look(_place(found), kinds)
    return seen.version, seen.problems


def _place(found: configuration.Broker) -> "Place":
    from central_dispatch.brokers.rabbitmq.link import Place  # noqa: PLC0415 as above

    return Place(
        addresses=found.addresses, virtual_host=found.virtual_host, user=found.user, password=found.password,
        tls=found.tls, cluster=found.cluster,
    )  # fmt: skip
