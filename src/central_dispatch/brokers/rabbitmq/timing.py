"""The times of the RabbitMQ broker, in one place: tests shorten them, nothing else changes them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """All in seconds."""

    connect_s: float = 5.0
    heartbeat_s: int = 10  # a connection that is silent for three times as long is given up
    first_retry_s: float = 0.1  # of a connection; doubled up to the longest
    longest_retry_s: float = 5.0
    #: How long RabbitMQ may take to answer before the connection is opened anew. An alarm's time does not count.
    answer_s: float = 10.0
    #: How long a bell may stay with a parent that does not look: then it goes back, for another one. RabbitMQ itself
    #: waits at least a minute before it takes such a parent for dead (`consumer_timeout`).
    hold_s: float = 2.0
    watch_s: float = 30.0  # how often it is looked whether bells lie there that nobody brings us
    refused_s: float = 60.0  # how long a queue is left alone that RabbitMQ refuses us
    listen_s: float = 3.0  # how long `listen` waits until bells are heard
    close_s: float = 1.0
