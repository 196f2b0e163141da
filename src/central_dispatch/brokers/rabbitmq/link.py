"""One connection to RabbitMQ, opened again whenever it is lost. The loop is ours: nothing is lost in between."""

import asyncio
import logging
import random
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq import exceptions
from pamqp.common import FieldTable

from central_dispatch.brokers.rabbitmq import trouble
from central_dispatch.brokers.rabbitmq.timing import Timing

T = TypeVar("T")
_log = logging.getLogger(__name__)
_STEADY_S = 10.0  # a connection that held so long is opened again at once
_ALARM_S = 0.5  # how often an alarm is looked for
#: What any step may fail with when the connection or its channel goes.
LOST = (exceptions.AMQPError, OSError, TimeoutError, RuntimeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where RabbitMQ is, and as whom. `addresses`: nodes of one cluster, any of which will do. `tls`: the CA's file."""

    addresses: tuple[tuple[str, int], ...]
    virtual_host: str = "/"
    user: str
    password: str = field(repr=False)
    tls: Path | None = None
    cluster: bool = False


class Lost(ConnectionError):
    """The connection went while something was asked."""


async def asked(question: Awaitable[T], within_s: float) -> T:
    """Wait for an answer; `Lost` where the connection goes meanwhile, `TimeoutError` where none comes.

    The client ends what waits by a cancellation; taken for our own, it would end the loop that is to reconnect.
    """
    task = asyncio.current_task()
    async with asyncio.timeout(within_s):
        try:
            return await question
        except asyncio.CancelledError:
            if task is not None and task.cancelling():
                raise
            raise Lost("the connection was closed") from None


class _Connection(aio_pika.Connection):
    def __del__(self) -> None:
        """Do nothing: we close it, and the collector may come in another thread, where its loop cannot be used."""


async def connect(place: Place, host: str, port: int, purpose: str, timing: Timing) -> AbstractConnection:
    """Open one connection; `purpose` is shown to RabbitMQ's operator. Raises one of `LOST`."""
    context = None
    if place.tls is not None:
        context = await asyncio.to_thread(ssl.create_default_context, cafile=str(place.tls))
    name: FieldTable = {"connection_name": f"central-dispatch {purpose}"}
    question = aio_pika.connect(
        host=host, port=port, login=place.user, password=place.password, virtualhost=place.virtual_host,
        ssl=context is not None, ssl_context=context, timeout=timing.connect_s, heartbeat=timing.heartbeat_s,
        client_properties=name, connection_class=_Connection,
    )  # fmt: skip
    return await asked(question, timing.connect_s)


class Link:
    """Keeps one connection. `serve` works on it until it returns or raises; `lost` is told before the next try."""

    def __init__(
        self, place: Place, timing: Timing, purpose: str, serve: Callable[[AbstractConnection], Awaitable[None]],
        troubles: trouble.Troubles,
    ) -> None:  # fmt: skip
        self._place = place
        self._timing = timing
        self._purpose = purpose
        self._serve = serve
        self._troubles = troubles
        self._address = ""
        self._broken = asyncio.Event()
        self.tried = asyncio.Event()  # the first try has succeeded or failed
        self.is_up = False
        self.is_blocked = False
        self.server: dict[str, Any] = {}

    async def run(self) -> None:
        """Connect, work, and again, until cancelled."""
        delay = self._timing.first_retry_s
        while True:
            begun = asyncio.get_running_loop().time()
            try:
                await self._once()
            except LOST as error:
                self._troubles.tell(f"1 {self._purpose}", self._words(error))
            except Exception as error:  # noqa: BLE001 whatever it is, the next try follows
                _log.exception("the connection to RabbitMQ (%s) stumbled; it is opened anew", self._purpose)
                self._troubles.tell(f"1 {self._purpose}", self._words(error))
            self.is_up = self.is_blocked = False
            self.tried.set()
            if asyncio.get_running_loop().time() - begun > _STEADY_S:
                delay = self._timing.first_retry_s
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))  # noqa: S311 spreads parents that lost the same node
            delay = min(2 * delay, self._timing.longest_retry_s)

    def reconnect(self, why: str) -> None:
        """Give this connection up: it stays there and does nothing."""
        _log.warning("the connection to RabbitMQ is opened anew: %s", why)
        self._broken.set()

    def ready(self) -> None:
        """Note that everything works. Called by `serve`."""
        self.is_up = True
        self.tried.set()
        self._troubles.tell(f"1 {self._purpose}", "")

    async def _once(self) -> None:
        connection = await self._connect()
        self._broken.clear()
        connection.close_callbacks.add(self._on_close)
        jobs = [
            asyncio.ensure_future(self._serve(connection)),
            asyncio.ensure_future(self._watch_for_alarms(connection)),
            asyncio.ensure_future(self._broken.wait()),
        ]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                if not job.cancelled():
                    job.result()
            raise Lost("the connection was closed")
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            self._troubles.tell(f"2 alarm {self._purpose}", "")
            with suppress(*LOST, asyncio.CancelledError):
                await asyncio.wait_for(connection.close(), self._timing.close_s)

    async def _connect(self) -> AbstractConnection:
        addresses = random.sample(self._place.addresses, len(self._place.addresses))
        for number, (host, port) in enumerate(addresses, 1):
            self._address = f"{host}:{port}"
            try:
                return await connect(self._place, host, port, self._purpose, self._timing)
            except LOST:
                if number == len(addresses):
                    raise
        raise Lost("no address is given")

    def _on_close(self, *_: object) -> None:
        self._broken.set()

    async def _watch_for_alarms(self, connection: AbstractConnection) -> None:
        """Note when RabbitMQ takes no messages (`connection.blocked`): then nobody is to be hurried."""
        while connection.transport is not None:
            try:
                async with asyncio.timeout(_ALARM_S):
                    await connection.transport.connection.ready()  # waits as long as the connection is blocked
                self.is_blocked = False
            except TimeoutError:
                self.is_blocked = True
            self._troubles.tell(f"2 alarm {self._purpose}", trouble.alarm(self._address) if self.is_blocked else "")
            await asyncio.sleep(_ALARM_S)
        raise Lost("the connection was closed")

    def _words(self, error: BaseException) -> str:
        return trouble.connecting(error, self._address, self._place.user, self._place.virtual_host)
