"""The consumer of one queue of bells, for one parent."""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress

from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq import exceptions

from central_dispatch.brokers.rabbitmq import layout, trouble
from central_dispatch.brokers.rabbitmq.link import LOST, Place, asked
from central_dispatch.brokers.rabbitmq.publisher import Publisher, Refused
from central_dispatch.brokers.rabbitmq.timing import Timing

_log = logging.getLogger(__name__)
_PAUSE_S = 0.2


class Consumer:
    """Hears the bells of one queue. `is_heard`: the bell in hand was told to the parent; `is_away`: it takes none."""

    def __init__(
        self, queue: str, place: Place, timing: Timing, troubles: trouble.Troubles, publisher: Publisher,
        hear: Callable[["Consumer | None", str], None],
    ) -> None:  # fmt: skip
        self.queue = queue
        self._cluster = place.cluster
        self._timing = timing
        self._troubles = troubles
        self._publisher = publisher
        self._hear = hear
        self._held: AbstractIncomingMessage | None = None
        self._held_since = 0.0
        self.is_heard = self.is_away = False
        self._back = asyncio.Event()
        self._news = asyncio.Event()  # a bell came, or the channel went
        self.begun = asyncio.Event()
        self._brought = self._watched = 0
        self._is_suspect = self._is_consuming = False
        self._set_asides = 0  # messages in hand that are no bells

    async def run(self, connection: AbstractConnection) -> None:
        """Consume until the connection goes."""
        self._is_suspect = self.is_away = False
        while not connection.is_closed:
            pause_s = _PAUSE_S
            try:
                await self._consume(connection)
            except (exceptions.ChannelPreconditionFailed, exceptions.ChannelAccessRefused) as error:
                self._troubles.tell(f"3 queue {self.queue}", trouble.declaring(error, self.queue))
                pause_s = self._timing.refused_s
            except exceptions.ChannelClosed as error:
                _log.info("the consumer of %s begins anew: %s", self.queue, error)
            finally:
                self._is_consuming = False
            self.begun.set()
            await asyncio.sleep(pause_s)

    def looked(self) -> None:
        """Acknowledge the bell in hand: the parent has looked. Or take bells again."""
        if self.is_away:
            self._back.set()
        elif self._held is not None and self.is_heard:
            message, self._held, self.is_heard = self._held, None, False
            asyncio.ensure_future(self._acknowledge(message))  # noqa: RUF006 kept by the loop until its one step is done

    async def is_deaf(self, connection: AbstractConnection) -> bool:
        """Say whether bells lay there twice in a row, none is in hand, and none came in between."""
        brought, self._watched = self._brought - self._watched, self._brought
        if not self._is_consuming or self._held is not None or self._set_asides or brought:
            self._is_suspect = False
            return False
        was_suspect, self._is_suspect = self._is_suspect, await self._count(connection) > 0
        return was_suspect and self._is_suspect and self._held is None and self._brought == self._watched

    async def _count(self, connection: AbstractConnection) -> int:
        channel = connection.channel(publisher_confirms=False)
        try:
            await asked(channel.initialize(), self._timing.answer_s)
            queue = await asked(channel.declare_queue(self.queue, passive=True), self._timing.answer_s)
        except exceptions.ChannelClosed:
            return 0  # deleted just now: the consumer is told
        else:
            return queue.declaration_result.message_count or 0
        finally:
            await close(channel, self._timing.close_s)

    async def _consume(self, connection: AbstractConnection) -> None:
        """Consume on a channel of this queue's own until that ends, or until a bell was in hand for too long."""
        channel = connection.channel(publisher_confirms=False)
        gone = asyncio.Event()

        def go(*_: object) -> None:
            gone.set()
            self._news.set()

        channel.close_callbacks.add(go)
        try:
            await asked(channel.initialize(), self._timing.answer_s)
            (await channel.get_underlay_channel()).on_consumer_cancel_callbacks.add(go)
            await asked(channel.set_qos(prefetch_count=1), self._timing.answer_s)
            arguments = layout.bells_arguments(cluster=self._cluster)
            queue = await asked(
                channel.declare_queue(self.queue, durable=True, arguments=arguments), self._timing.answer_s
            )
            await asked(queue.consume(self._on_message), self._timing.answer_s)
            self._is_consuming = True
            self._troubles.tell(f"3 queue {self.queue}", "")
            self.begun.set()
            await self._until_held_too_long(gone)
        finally:
            self._is_consuming = False
            self._held, self.is_heard = None, False
            # With the channel its bell goes back, to another parent.
            await close(channel, self._timing.close_s)
        if self.is_away:
            await self._back.wait()
            self.is_away = False

    async def _until_held_too_long(self, gone: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        while not gone.is_set():
            left_s = None if self._held is None else self._held_since + self._timing.hold_s - loop.time()
            if left_s is not None and left_s <= 0:
                self._back.clear()
                self.is_away = True
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), left_s)
            self._news.clear()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        self._brought += 1
        if reason := layout.why_no_bell(message.body, self.queue):
            self._set_asides += 1
            try:
                await self._set_aside(message, reason)
            finally:
                self._set_asides -= 1
            return
        self._held, self._held_since = message, asyncio.get_running_loop().time()
        self.is_heard = False
        self._news.set()
        self._hear(self, self.queue)

    async def _set_aside(self, message: AbstractIncomingMessage, reason: str) -> None:
        """Move a message that is no bell to the failed ones; it stays where it is until that is done."""
        _log.warning("a message in %s is set aside in %s%s: %s", self.queue, self.queue, layout.FAILED, reason)
        while not message.channel.is_closed:  # with its channel it goes back, and comes again
            try:
                await self._publisher.set_aside(self.queue, message.body, reason, message.content_type)
            except Refused:
                # It cannot be kept, and is not ours to throw away: it stays in hand. RabbitMQ brings this parent no
                # bell of this queue meanwhile, and brings them to others; this one looks by itself once a second.
                await asyncio.sleep(self._timing.refused_s)
            except LOST:
                await asyncio.sleep(1.0)
            else:
                with suppress(*LOST):
                    await message.ack()
                return

    async def _acknowledge(self, message: AbstractIncomingMessage) -> None:
        # A bell that we ring on is to reach another parent: ours stays in hand until that one is sent.
        if (ringing := self._publisher.sent(self.queue)) is not None:
            await asyncio.wait([ringing], timeout=self._timing.hold_s)
        with suppress(*LOST):
            await message.ack()


async def close(channel: AbstractChannel, within_s: float) -> None:
    """Close a channel, whatever state it is in."""
    with suppress(*LOST, asyncio.CancelledError):
        await asyncio.wait_for(channel.close(), within_s)
