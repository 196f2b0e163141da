"""Huey on SQLite, every transaction synced to the disk. It has no history, and a job that is cut off is gone."""

import os

from huey import SqliteHuey
from tally import count, sleep_and_count

huey = SqliteHuey("huey", filename=os.environ["HUEY"], fsync=True)


@huey.task()
def no_op():
    count()


@huey.task()
def ms10():
    sleep_and_count()


TASKS = {"no-op": no_op, "10ms": ms10}


def one(kind):
    TASKS[kind]()
