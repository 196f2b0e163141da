"""RabbitMQ's acknowledgement limit (30 minutes unless configured): no job and no bell may ever come near it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage

from queue_workers.rig import Rig, eventually
from servers.places import passable_directory
from servers.rabbitmq import Node

#: RabbitMQ looks once in a tick whether a consumer keeps a message for longer than the limit.
_LIMITS = "{rabbit, [{consumer_timeout, 3000}, {channel_tick_interval, 500}]}"
_JOB_S = 9.0


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    with passable_directory() as place, Node(place / "node", advanced=(_LIMITS,)) as node:
        yield node


def limit_was_hit(node: Node) -> bool:
    return "timed out" in node.log.read_text(errors="replace")


async def _keep(_message: AbstractIncomingMessage) -> None:
    """Never answer."""


async def _hold(node: Node, queue: str) -> None:
    """Take a message and keep it: until RabbitMQ closes the channel."""
    gone = asyncio.Event()
    connection = await aio_pika.connect(host="127.0.0.1", port=node.port, login=node.user, password=node.password)
    async with connection:
        channel = await connection.channel()
        channel.close_callbacks.add(lambda *_: gone.set())
        await channel.set_qos(prefetch_count=1)
        held = await channel.declare_queue(queue)
        await channel.default_exchange.publish(aio_pika.Message(b""), queue)
        await held.consume(_keep)
        await asyncio.wait_for(gone.wait(), 60)


def test_a_job_longer_than_the_limit_runs_once_and_no_bell_reaches_the_limit(node: Node, tmp_path: Path) -> None:
    rig = Rig(tmp_path, broker_name="rabbitmq", node=node)
    try:
        workers = [rig.start("sleep", slots=1) for _ in range(2)]
        log = tmp_path / "executions"
        jobs = rig.enqueue("sleep", 2, seconds=_JOB_S, log=str(log))
        rig.until_running(jobs)
        more = [rig.enqueue("sleep", seconds=0)[0] for _ in range(5)]  # bells that full workers hold
        for job in jobs + more:
            assert rig.until_state(job, "finished")["attempts"] == 1
        assert len(log.read_text().splitlines()) == len(jobs)
        assert not limit_was_hit(node), node.log.read_text()[-2000:]
        assert all(worker.process.poll() is None for worker in workers)
    finally:
        rig.close()


def test_this_node_has_the_limit(node: Node) -> None:
    """The test above could not fail otherwise."""
    asyncio.run(_hold(node, "held"))
    eventually(lambda: limit_was_hit(node), "RabbitMQ closes a channel that keeps a message")
