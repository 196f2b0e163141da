"""What one process sends to RabbitMQ: bells, calls and copies of dead letters, each confirmed and each routed.

At most one bell per queue is under way, and one that is rung meanwhile is remembered: a thousand rings are two
bells. With RabbitMQ away they wait, as one bell each.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Collection, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aio_pika import DeliveryMode, ExchangeType, Message
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange
from aiormq import exceptions

from central_dispatch.brokers.rabbitmq import layout, trouble
from central_dispatch.brokers.rabbitmq.link import LOST, Link, Lost, Place, asked
from central_dispatch.brokers.rabbitmq.timing import Timing
from central_dispatch.jobs.ports import DeadLetter

_log = logging.getLogger(__name__)
#: Copies that wait for RabbitMQ, in number and in bytes; the oldest go first, their rows stay.
_MOST_WAITING, _MOST_WAITING_BYTES = 10_000, 16 << 20
_AT_ONCE = 50
_PAUSE_S = 0.2


class Refused(Exception):
    """RabbitMQ lets us not use this queue: nothing is to be sent there."""


@dataclass(frozen=True, slots=True)
class _Copy:
    """A message for `<kind>_failed`."""

    queue: str
    message: Message
    expires_at: datetime


class Publisher:
    """Lives in the broker's loop: every method is called there."""

    def __init__(self, place: Place, timing: Timing, troubles: trouble.Troubles) -> None:
        self._cluster = place.cluster
        self._timing = timing
        self._troubles = troubles
        self.link = Link(place, timing, "publishing", self._serve, troubles)
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._up = asyncio.Event()
        self._declared: set[str] = set()
        self._refused: dict[str, float] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._called: dict[str, None] = {}
        self._copies: deque[_Copy] = deque()
        self._copied_bytes = 0
        self._workers: set[asyncio.Task[None]] = set()
        self._calling = self._copying = False

    # What the broker asks for.

    def ring(self, queue: str) -> None:
        """Send a bell, or remember it while one is under way."""
        if queue in self._busy:
            self._again.add(queue)
        else:
            self._busy[queue] = asyncio.ensure_future(self._ring(queue))

    def call(self, queues: Collection[str]) -> None:
        """Tell all parents."""
        self._called.update(dict.fromkeys(queues))
        if not self._calling:
            self._calling = True
            self._keep(self._call())

    def bury(self, letter: DeadLetter) -> None:
        """Send a copy of a dead letter."""
        message = Message(
            layout.letter_body(letter), headers=layout.letter_headers(letter), content_type="application/json",
            type="dead letter", message_id=f"{letter.job}-{letter.attempts}", timestamp=datetime.now(UTC),
            delivery_mode=DeliveryMode.PERSISTENT,
        )  # fmt: skip
        self._copies.append(_Copy(letter.queue, message, letter.expires_at))
        self._copied_bytes += len(message.body)
        self._bound_copies()
        if not self._copying:
            self._copying = True
            self._keep(self._send_copies())

    async def set_aside(self, queue: str, body: bytes, reason: str, content_type: str | None) -> None:
        """Send a copy of a message that was no bell; returns when it is kept. Raises one of `LOST`, or `Refused`."""
        message = Message(
            body[: layout.MOST_FOREIGN_BYTES], headers=layout.foreign_headers(queue, reason, body),
            content_type=content_type, type="foreign message", timestamp=datetime.now(UTC),
            delivery_mode=DeliveryMode.PERSISTENT, expiration=layout.FOREIGN_KEPT_S,
        )  # fmt: skip
        await self._send(queue + layout.FAILED, message)

    def sent(self, queue: str) -> "asyncio.Task[None] | None":
        """Return the bell of that queue that is under way."""
        return self._busy.get(queue)

    async def flush(self, within_s: float) -> None:
        """Wait until everything is sent, if there is a connection or one may come."""
        waiting = [*self._busy.values(), *self._workers]
        if waiting and (self.link.is_up or not self.link.tried.is_set()) and not self.link.is_blocked:
            await asyncio.wait(waiting, timeout=within_s)

    def close(self) -> None:
        """Send nothing any more."""
        for task in [*self._busy.values(), *self._workers]:
            task.cancel()

    # The connection.

    async def _serve(self, connection: AbstractConnection) -> None:
        self._connection, self._channel = connection, None
        self._declared.clear()
        try:
            await self._open_channel()
            self._up.set()
            self.link.ready()
            await asyncio.get_running_loop().create_future()  # until the link ends it
        finally:
            self._up.clear()
            self._connection = self._channel = None

    async def _open_channel(self) -> AbstractChannel:
        """Return the channel; it is opened anew after RabbitMQ closed it for a message that it refuses."""
        async with self._opening:
            if self._connection is None:
                raise Lost("the connection was closed")
            if self._channel is None or self._channel.is_closed:
                channel = self._connection.channel(publisher_confirms=True, on_return_raises=True)
                await asked(channel.initialize(), self._timing.answer_s)
                self._channel = channel
            return self._channel

    # Sending.

    async def _ring(self, queue: str) -> None:
        """Send bells of one queue until none is remembered."""
        try:
            while True:
                self._again.discard(queue)
                # Not persistent: after RabbitMQ's fall the parents look by themselves, and no disk is waited for.
                message = Message(
                    layout.bell(queue), content_type="application/json", type="bell",
                    delivery_mode=DeliveryMode.NOT_PERSISTENT,
                )  # fmt: skip
                await self._persist_in_sending(queue, message)
                if queue not in self._again:
                    return
        finally:
            del self._busy[queue]

    async def _call(self) -> None:
        try:
            while self._called:
                queues, self._called = list(self._called), {}
                message = Message(
                    layout.call(queues), content_type="application/json", type="call",
                    delivery_mode=DeliveryMode.NOT_PERSISTENT,
                )  # fmt: skip
                await self._persist_in_sending("", message)
        finally:
            self._calling = False

    async def _send_copies(self) -> None:
        try:
            while self._copies:
                lot = [self._copies.popleft() for _ in range(min(_AT_ONCE, len(self._copies)))]
                self._copied_bytes -= sum(len(one.message.body) for one in lot)
                await asyncio.gather(*(self._send_copy(one) for one in lot))
        finally:
            self._copying = False

    async def _send_copy(self, one: _Copy) -> None:
        kept_for_s = (one.expires_at - datetime.now(UTC)).total_seconds()
        if kept_for_s >= 1:
            one.message.expiration = kept_for_s
            await self._persist_in_sending(one.queue + layout.FAILED, one.message)

    async def _persist_in_sending(self, queue: str, message: Message) -> None:
        """Send it as soon as RabbitMQ takes it: a cluster refuses for some seconds while it elects a queue's leader."""
        about, pause_s = f"3 taking for {queue}", _PAUSE_S
        while True:
            await self._until_taken()
            try:
                await self._send(queue, message)
            except Refused:
                return
            except exceptions.DeliveryError:
                self._troubles.tell(about, trouble.not_taken(queue))
                pause_s = min(2 * pause_s, self._timing.longest_retry_s)
            except TimeoutError:
                self._give_up_unless_blocked()
            except LOST as error:
                _log.debug("sending to %s is tried again: %r", queue or layout.CALLS, error)
            else:
                self._troubles.tell(about, "")
                return
            await asyncio.sleep(pause_s)

    async def _until_taken(self) -> None:
        """Wait until there is a connection that takes messages."""
        await self._up.wait()
        while self.link.is_blocked:  # noqa: ASYNC110 the link finds that out by asking, too
            await asyncio.sleep(_PAUSE_S)
        await self._up.wait()

    def _give_up_unless_blocked(self) -> None:
        if self._up.is_set() and not self.link.is_blocked:
            self._up.clear()
            self.link.reconnect(f"no answer to a message within {self._timing.answer_s:g} s")

    async def _send(self, queue: str, message: Message) -> None:
        """Send once, to a queue or with no queue to all parents; declares what is not there."""
        for is_last in (False, True):
            exchange = await self._declare(queue)
            try:
                await asked(exchange.publish(message, routing_key=queue, mandatory=True), self._timing.answer_s)
            except exceptions.PublishError:
                if not queue:
                    return  # no parent listens: there is nobody who could be told
                self._declared.discard(queue)  # it was deleted under us
                if is_last:
                    raise
            except exceptions.ChannelAccessRefused as error:
                self._refuse(queue, error)
            except exceptions.ChannelNotFoundEntity:
                self._declared.discard(queue)
                if is_last:
                    raise
            else:
                return

    async def _declare(self, queue: str) -> AbstractExchange:
        """Return the exchange to publish to; what it leads to is there."""
        if queue in self._refused and asyncio.get_running_loop().time() < self._refused[queue]:
            raise Refused(queue)
        channel = await self._open_channel()
        if queue not in self._declared:
            try:
                await self._declare_apart(queue)
            except (exceptions.ChannelPreconditionFailed, exceptions.ChannelAccessRefused) as error:
                self._refuse(queue, error)
            self._refused.pop(queue, None)
            self._troubles.tell(f"3 sending to {queue}", "")
            self._declared.add(queue)
        if queue:
            return channel.default_exchange
        return await channel.get_exchange(layout.CALLS, ensure=False)

    async def _declare_apart(self, queue: str) -> None:
        """Declare on a channel of its own: a refusal closes the channel, with all that is under way on it."""
        if self._connection is None:
            raise Lost("the connection was closed")
        channel = self._connection.channel(publisher_confirms=False)
        try:
            await asked(channel.initialize(), self._timing.answer_s)
            if queue:
                is_failed = queue.endswith(layout.FAILED)
                arguments = (layout.failed_arguments if is_failed else layout.bells_arguments)(cluster=self._cluster)
                await asked(channel.declare_queue(queue, durable=True, arguments=arguments), self._timing.answer_s)
            else:
                kind = ExchangeType.FANOUT
                await asked(channel.declare_exchange(layout.CALLS, kind, durable=True), self._timing.answer_s)
        finally:
            with suppress(*LOST, asyncio.CancelledError):
                await asyncio.wait_for(channel.close(), self._timing.close_s)

    def _refuse(self, queue: str, error: BaseException) -> None:
        self._refused[queue] = asyncio.get_running_loop().time() + self._timing.refused_s
        self._troubles.tell(f"3 sending to {queue}", trouble.declaring(error, queue or layout.CALLS))
        raise Refused(queue) from error

    def _bound_copies(self) -> None:
        gone = 0
        while len(self._copies) > _MOST_WAITING or self._copied_bytes > _MOST_WAITING_BYTES:
            self._copied_bytes -= len(self._copies.popleft().message.body)
            gone += 1
        if gone:
            _log.warning("RabbitMQ gets no copies of %d dead letters: too many wait for it; their rows stay", gone)

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(coroutine)
        self._workers.add(task)
        task.add_done_callback(self._workers.discard)
