"""A cluster of three RabbitMQ nodes with quorum queues: bells go on while one node is dead, whichever it is.

Takes a minute: CENTRAL_DISPATCH_CLUSTER=1 asks for it.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from central_dispatch.brokers.rabbitmq.broker import RabbitBroker
from central_dispatch.brokers.rabbitmq.link import Place
from central_dispatch.brokers.rabbitmq.timing import Timing
from queue_workers.rig import eventually
from servers.amqp import Heard, Stranger, letter
from servers.places import passable_directory
from servers.rabbitmq import Node, cluster

pytestmark = pytest.mark.skipif(
    not os.environ.get("CENTRAL_DISPATCH_CLUSTER"), reason="a cluster takes a minute: CENTRAL_DISPATCH_CLUSTER=1"
)


@pytest.fixture
def nodes() -> Iterator[list[Node]]:
    with passable_directory() as place, cluster(place) as nodes:
        yield nodes


def is_whole(node: Node, queue: str) -> bool:
    """Whether all members of a quorum queue take part: an operator, too, waits for that before the next one goes."""
    try:
        told = node.ctl("quorum_status", queue, "--formatter", "json", script="rabbitmq-queues")
    except AssertionError:
        return False  # the node starts
    return {str(member["Raft State"]) for member in json.loads(told)} <= {"leader", "follower"}


def test_bells_and_copies_go_on_while_one_of_three_nodes_is_dead(nodes: list[Node]) -> None:
    addresses = tuple(("127.0.0.1", node.port) for node in nodes)
    place: Place = replace(nodes[0].place(cluster=True), addresses=addresses)
    listener, ringer = RabbitBroker(place, Timing()), RabbitBroker(place, Timing())
    try:
        heard = Heard(listener, "ftp")
        ringer.ring(["ftp"])
        assert heard.next() == "ftp"
        types = nodes[0].ctl("list_queues", "name", "type")
        assert "ftp\tquorum" in types
        for node in nodes:
            node.kill()
            ringer.bury([letter()])
            ringer.ring(["ftp"])
            assert heard.next() == "ftp"
            eventually(lambda: (ringer.call(["ftp"]), heard.bells.qsize())[1], "calls are heard, too")
            node.start()
            eventually(lambda: all(is_whole(nodes[0], queue) for queue in ("ftp", "ftp_failed")), "it has caught up")
            eventually(lambda: not ringer.problem() and not listener.problem(), "nothing is wrong any more")
            heard.forget()
        seen = Stranger(replace(place, addresses=addresses[:1]))
        eventually(lambda: seen.depth("ftp_failed") == len(nodes), "all copies are there")
    finally:
        listener.close()
        ringer.close()
