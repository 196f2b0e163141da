"""Celery on RabbitMQ: acknowledged late, published with confirms, without results or, with RESULTS, in SQL."""

import os

from celery import Celery
from tally import count, sleep_and_count

results = os.environ.get("RESULTS")
app = Celery("celery_app", broker=os.environ["AMQP"], backend=results)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    broker_transport_options={"confirm_publish": True},
    task_ignore_result=not results,
    task_default_queue=os.environ["QUEUE"],
    broker_connection_retry_on_startup=True,
)


@app.task
def no_op():
    count()


@app.task
def ms10():
    sleep_and_count()


TASKS = {"no-op": no_op, "10ms": ms10}


def one(kind):
    TASKS[kind].delay()
