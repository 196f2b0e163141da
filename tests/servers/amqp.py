"""What an operator, or a stranger, does on RabbitMQ: a few plain calls, each on a connection of its own."""

import asyncio
import queue
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity

from central_dispatch.brokers.rabbitmq.broker import RabbitBroker
from central_dispatch.brokers.rabbitmq.link import Place
from central_dispatch.jobs.ports import DeadLetter

T = TypeVar("T")
#: A bound on waiting for what must come, in seconds; nothing is said about speed here.
PATIENCE_S = 60.0


class Heard:
    """Hears bells, and looks after each at once unless told otherwise."""

    def __init__(self, broker: RabbitBroker, *queues: str, looks: bool = True) -> None:
        self.bells: queue.Queue[str] = queue.Queue()
        self.broker = broker
        self.looks = looks
        broker.listen(queues, self._hear)

    def _hear(self, name: str) -> None:
        self.bells.put(name)
        if self.looks:
            self.broker.looked(name)

    def next(self) -> str:
        return self.bells.get(timeout=PATIENCE_S)

    def forget(self) -> None:
        while not self.bells.empty():
            self.bells.get_nowait()


def letter(error: str = "no such host", *, kept: timedelta = timedelta(hours=96)) -> DeadLetter:
    return DeadLetter(7, "ftp", {"file": "a.jpg"}, error, 3, datetime.now(UTC) + kept)


@dataclass(frozen=True)
class Stranger:
    """Somebody else on the same virtual host."""

    place: Place

    def publish(self, queue: str, *bodies: bytes, **properties: Any) -> None:
        async def act(channel: AbstractChannel) -> None:
            for body in bodies:
                await channel.default_exchange.publish(aio_pika.Message(body, **properties), queue)

        self._on_a_channel(act)

    def declare(self, queue: str, *, durable: bool = True, **arguments: Any) -> None:
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        self._on_a_channel(lambda channel: channel.declare_queue(queue, durable=durable, arguments=given))

    def delete(self, queue: str) -> None:
        self._on_a_channel(lambda channel: channel.queue_delete(queue))

    def depth(self, queue: str) -> int | None:
        """How many messages lie there, for anybody to take; None where there is no such queue."""

        async def act(channel: AbstractChannel) -> int | None:
            found = await channel.declare_queue(queue, passive=True)
            return found.declaration_result.message_count

        try:
            return self._on_a_channel(act)
        except ChannelNotFoundEntity:
            return None

    def take(self, queue: str) -> list[AbstractIncomingMessage]:
        """Take all that lies there."""

        async def act(channel: AbstractChannel) -> list[AbstractIncomingMessage]:
            found = await channel.get_queue(queue)
            taken = []
            while message := await found.get(fail=False, no_ack=True):
                taken.append(message)
            return taken

        return self._on_a_channel(act)

    def _on_a_channel(self, act: Callable[[AbstractChannel], Awaitable[T]]) -> T:
        async def run() -> T:
            host, port = self.place.addresses[0]
            connection = await aio_pika.connect(
                host=host, port=port, login=self.place.user, password=self.place.password,
                virtualhost=self.place.virtual_host,
            )  # fmt: skip
            async with connection:
                return await act(await connection.channel())

        return asyncio.run(run())
