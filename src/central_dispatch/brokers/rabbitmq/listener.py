"""One parent's hearing on RabbitMQ: a consumer for each queue of bells, and one for calls.

A bell is acknowledged when the parent has looked at the queue. One bell per queue is held at most, so that the
others get the next; a parent that does not look gives it back and does not take another until it looks again.
"""

import asyncio
import secrets
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from aio_pika import ExchangeType
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage

from central_dispatch.brokers.rabbitmq import layout, trouble
from central_dispatch.brokers.rabbitmq.consumer import Consumer, close
from central_dispatch.brokers.rabbitmq.link import Link, Place, asked
from central_dispatch.brokers.rabbitmq.publisher import Publisher
from central_dispatch.brokers.rabbitmq.timing import Timing

_PAUSE_S = 0.2


class Listener:
    """Lives in the broker's loop, except `needs_look`, which is read from any thread."""

    def __init__(
        self, place: Place, timing: Timing, troubles: trouble.Troubles, publisher: Publisher,
        queues: Collection[str], hear: Callable[[Consumer | None, str], None],
    ) -> None:  # fmt: skip
        """`hear` is called in the loop for each bell, with its consumer, and for each call."""
        self._timing = timing
        self._queues = frozenset(queues)
        self._hear = hear
        self._cluster = place.cluster
        self.link = Link(place, timing, "listening", self._serve, troubles)
        self.consumers = {queue: Consumer(queue, place, timing, troubles, publisher, hear) for queue in queues}

    def needs_look(self, queue: str) -> bool:
        """Say whether anything waits for a look at that queue. From any thread."""
        consumer = self.consumers.get(queue)
        return consumer is not None and (consumer.is_heard or consumer.is_away)

    async def _serve(self, connection: AbstractConnection) -> None:
        calls = asyncio.Event()
        consumers = list(self.consumers.values())
        for one in consumers:
            one.begun.clear()
        working = asyncio.gather(
            *(one.run(connection) for one in consumers), self._hear_calls(connection, calls), self._watch(connection)
        )
        begun: asyncio.Future[Any] = asyncio.gather(calls.wait(), *(one.begun.wait() for one in consumers))
        try:
            await asyncio.wait((begun, working), return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                self.link.ready()
            await working
        finally:
            for jobs in (begun, working):
                jobs.cancel()
                await asyncio.gather(jobs, return_exceptions=True)

    async def _hear_calls(self, connection: AbstractConnection, begun: asyncio.Event) -> None:
        """Hear calls on a queue of this connection's own, which goes with it."""
        while True:
            channel = connection.channel(publisher_confirms=False)
            gone = asyncio.Event()
            channel.close_callbacks.add(partial(_set, gone))
            await asked(channel.initialize(), self._timing.answer_s)
            kind = ExchangeType.FANOUT
            exchange = await asked(channel.declare_exchange(layout.CALLS, kind, durable=True), self._timing.answer_s)
            queue = await asked(
                channel.declare_queue(f"{layout.CALLS}.{secrets.token_hex(8)}", exclusive=True, auto_delete=True),
                self._timing.answer_s,
            )
            await asked(queue.bind(exchange), self._timing.answer_s)
            (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(partial(_set, gone))
            await asked(queue.consume(self._on_call, no_ack=True), self._timing.answer_s)
            begun.set()
            await gone.wait()
            await close(channel, self._timing.close_s)
            await asyncio.sleep(_PAUSE_S)

    async def _on_call(self, message: AbstractIncomingMessage) -> None:
        for queue in layout.called_queues(message.body):
            if queue in self._queues:
                self._hear(None, queue)

    async def _watch(self, connection: AbstractConnection) -> None:
        """See to it that bells which lie there are brought: a consumer that looks alive and hears nothing is known."""
        while True:
            await asyncio.sleep(self._timing.watch_s)
            for consumer in self.consumers.values():
                if await consumer.is_deaf(connection):
                    self.link.reconnect(f"bells lie in {consumer.queue}, and none is brought")
                    return


def _set(event: asyncio.Event, *_: object) -> None:
    event.set()
