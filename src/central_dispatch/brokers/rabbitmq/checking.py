"""Looks whether RabbitMQ can be used: the connection, its version, the rights, the queues that are there, an alarm."""

import asyncio
import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq import exceptions

from central_dispatch.brokers.rabbitmq import layout, trouble
from central_dispatch.brokers.rabbitmq.link import LOST, Place, asked, connect
from central_dispatch.brokers.rabbitmq.timing import Timing

OLDEST = (3, 10)


@dataclass(frozen=True, slots=True)
class Seen:
    """What was found; `problems` are lines for people, none where all is well."""

    version: str = ""
    problems: tuple[str, ...] = ()


def look(place: Place, kinds: Collection[str], timing: Timing | None = None) -> Seen:
    """Look; leaves nothing behind. `kinds`: the queues whose arguments and rights are looked at, where they exist."""
    return asyncio.run(_look(place, kinds, timing or Timing()))


async def _look(place: Place, kinds: Collection[str], timing: Timing) -> Seen:
    address = " or ".join(f"{host}:{port}" for host, port in place.addresses)
    try:
        connection = await _connected(place, timing)
    except LOST as error:
        return Seen(problems=(trouble.connecting(error, address, place.user, place.virtual_host),))
    properties = connection.transport.connection.server_properties if connection.transport else {}
    version = str(properties.get("version", ""))
    problems = _too_old(version)
    try:
        problems += await _exchange_and_sending(connection, address, timing)
        # Under an alarm nothing on this connection is answered any more.
        queues = () if trouble.alarm(address) in problems else kinds
        for queue in (name for kind in queues for name in (kind, kind + layout.FAILED)):
            problems += await _queue(connection, queue, place, timing)
    except LOST as error:
        problems.append(trouble.connecting(error, address, place.user, place.virtual_host))
    finally:
        with suppress(*LOST, asyncio.CancelledError):
            await asyncio.wait_for(connection.close(), timing.close_s)
    return Seen(version, tuple(dict.fromkeys(problems)))


async def _connected(place: Place, timing: Timing) -> AbstractConnection:
    for host, port in place.addresses[:-1]:
        try:
            return await connect(place, host, port, "doctor", timing)
        except LOST:
            continue
    return await connect(place, *place.addresses[-1], "doctor", timing)


def _too_old(version: str) -> list[str]:
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    return [f"RabbitMQ {version} is too old: 3.10 is the oldest that will do"] if numbers and numbers < OLDEST else []


async def _exchange_and_sending(connection: AbstractConnection, address: str, timing: Timing) -> list[str]:
    """Do what a worker does for calls, on a queue of our own that goes with the connection."""
    channel = connection.channel(on_return_raises=True)
    try:
        await asked(channel.initialize(), timing.answer_s)
        kind = aio_pika.ExchangeType.FANOUT
        exchange = await asked(channel.declare_exchange(layout.CALLS, kind, durable=True), timing.answer_s)
        name = f"{layout.CALLS}.{secrets.token_hex(8)}"
        queue = await asked(channel.declare_queue(name, exclusive=True, auto_delete=True), timing.answer_s)
        await asked(queue.bind(exchange), timing.answer_s)
        message = aio_pika.Message(b"{}")
        await asked(channel.default_exchange.publish(message, name, mandatory=True), timing.connect_s)
    except exceptions.ChannelClosed as error:
        return [trouble.declaring(error, layout.CALLS)]
    except TimeoutError:
        return [trouble.alarm(address)]
    return []


async def _queue(connection: AbstractConnection, queue: str, place: Place, timing: Timing) -> list[str]:
    """Declare a queue that is there as it should be: that changes nothing, and tells whether we may use it."""
    failed = queue.endswith(layout.FAILED)
    arguments = (layout.failed_arguments if failed else layout.bells_arguments)(cluster=place.cluster)
    for how in ({"passive": True}, {"durable": True, "arguments": arguments}):
        channel = connection.channel(publisher_confirms=False)
        try:
            await asked(channel.initialize(), timing.answer_s)
            await asked(channel.declare_queue(queue, **how), timing.answer_s)
            await asked(channel.close(), timing.answer_s)
        except exceptions.ChannelNotFoundEntity:
            return []
        except exceptions.ChannelClosed as error:
            return [trouble.declaring(error, queue)]
    return []
