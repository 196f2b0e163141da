"""Dramatiq on RabbitMQ, published with confirms. It has no history."""

import os

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from tally import count, sleep_and_count

dramatiq.set_broker(RabbitmqBroker(url=os.environ["AMQP"], confirm_delivery=True))


@dramatiq.actor(queue_name=os.environ["QUEUE"])
def no_op():
    count()


@dramatiq.actor(queue_name=os.environ["QUEUE"])
def ms10():
    sleep_and_count()


ACTORS = {"no-op": no_op, "10ms": ms10}


def one(kind):
    ACTORS[kind].send()
