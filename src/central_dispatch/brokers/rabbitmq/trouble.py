"""What is wrong with RabbitMQ, in words for its operator: each trouble is logged when it comes and when it goes."""

import logging
import ssl
import threading

from aiormq import exceptions

_log = logging.getLogger("central_dispatch.brokers.rabbitmq")
MEANWHILE = "jobs start up to a second later meanwhile"


class Troubles:
    """The troubles that there are now, by what they concern. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now: dict[str, str] = {}

    def tell(self, about: str, text: str) -> None:
        """Note what is wrong there, or with an empty text that nothing is any more."""
        with self._lock:
            known = set(map(_headline, self._now.values()))
            before = _headline(self._now.pop(about, ""))
            if text:
                self._now[about] = text
            left = set(map(_headline, self._now.values()))
        if text and _headline(text) not in known:
            _log.warning("%s; %s", text, MEANWHILE)
        if before and before not in left:
            _log.info("over: %s", before)

    def first(self) -> str:
        """Return one of them, the connection's before a queue's; empty where there is none."""
        with self._lock:
            return next((self._now[about] for about in sorted(self._now)), "")


def _headline(text: str) -> str:
    """Return what a trouble is; what follows the first colon may change while it lasts, and is not logged again."""
    return text.partition(": ")[0]


def connecting(error: BaseException, place: str, user: str, virtual_host: str) -> str:
    """Say why there is no connection."""
    match error:
        case exceptions.AuthenticationError() | exceptions.ProbableAuthenticationError():
            return f"RabbitMQ at {place} refuses the user {user}: check its name and password in dispatcher.toml"
        case exceptions.IncompatibleProtocolError():
            return f"what listens at {place} is no RabbitMQ"
        case TimeoutError():
            return f"RabbitMQ at {place} does not answer"
        case ssl.SSLError():
            return f"RabbitMQ at {place} cannot be trusted: {error.reason or error}"
    said = str(error)
    # RabbitMQ closes the connection where it is to be opened for a virtual host, and the client calls that a bad frame.
    if "Connection.OpenOk" in said or "vhost" in said:
        return f"RabbitMQ at {place} lets {user} not into the virtual host {virtual_host}: make it, and set_permissions"
    return f"RabbitMQ at {place} is away: {_short(error)}"


def declaring(error: BaseException, queue: str) -> str:
    """Say why a queue cannot be used, and what to do."""
    if isinstance(error, exceptions.ChannelPreconditionFailed):
        return (
            f"the queue {queue} on RabbitMQ was made by something else, with other arguments: delete it "
            f"(rabbitmqctl delete_queue {queue}), or give central-dispatch a virtual host of its own"
        )
    if isinstance(error, exceptions.ChannelAccessRefused):
        return (
            f"RabbitMQ lets us not use {queue}: its user needs the rights configure, write and read "
            "(rabbitmqctl set_permissions)"
        )
    return f"the queue {queue} on RabbitMQ cannot be used: {_short(error)}"


def not_taken(queue: str) -> str:
    """Say that RabbitMQ confirms no message for a queue."""
    return (
        f"RabbitMQ takes no message for {queue}: where this lasts, fewer than half of a quorum queue's nodes are up "
        "(rabbitmq-queues quorum_status)"
    )


def alarm(place: str) -> str:
    """Say that RabbitMQ takes no messages."""
    return (
        f"RabbitMQ at {place} has an alarm, its disk or its memory is nearly full, and takes no messages: make room "
        "there (rabbitmq-diagnostics alarms)"
    )


def _short(error: BaseException) -> str:
    said = str(error).strip().splitlines()
    return (said[0] if said else type(error).__name__)[:200]
