"""The limit: bare aio-pika, confirmed publishing and acknowledged consuming, with nothing around it.

Run as a program it consumes.
"""

import asyncio
import os
from functools import cache

import aio_pika
from tally import count

_UNCONFIRMED = 100  # published and not confirmed yet
_PREFETCH = 100


async def consume():
    connection = await aio_pika.connect(os.environ["AMQP"])
    slots = asyncio.Semaphore(10)
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=_PREFETCH)
    queue = await channel.declare_queue(os.environ["QUEUE"], durable=True)

    async def handle(message):
        if message.body == b"10ms":
            async with slots:
                await asyncio.sleep(0.01)
        count()
        await message.ack()

    await queue.consume(handle)
    print("ready", flush=True)
    await asyncio.Future()


class Publisher:
    """Publishes from a plain call, on a loop of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.exchange = self.loop.run_until_complete(self._connect())

    async def _connect(self):
        self.connection = await aio_pika.connect(os.environ["AMQP"])
        channel = await self.connection.channel(publisher_confirms=True)
        await channel.declare_queue(os.environ["QUEUE"], durable=True)
        return channel.default_exchange

    async def publish(self, kind):
        message = aio_pika.Message(kind.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await self.exchange.publish(message, os.environ["QUEUE"], mandatory=True)

    async def many(self, kind, number):
        left = iter(range(number))

        async def some():
            for _ in left:
                await self.publish(kind)

        await asyncio.gather(*(some() for _ in range(_UNCONFIRMED)))


@cache
def publisher():
    return Publisher()


def one(kind):
    publisher().loop.run_until_complete(publisher().publish(kind))


def burst(kind, number):
    publisher().loop.run_until_complete(publisher().many(kind, number))


if __name__ == "__main__":
    asyncio.run(consume())
