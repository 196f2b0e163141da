"""What lies on RabbitMQ: names, arguments and messages. Pure.

Declarations never change: RabbitMQ refuses to declare a queue anew with other arguments, and everything that an
administrator may want to change is the row's. Changing this file means: the queues have to be deleted once.
"""

import json
from collections.abc import Collection
from datetime import UTC
from typing import Any

from central_dispatch.jobs.ports import DeadLetter

CALLS = "central_dispatch.calls"  # the fanout exchange; each parent's own queue on it begins with the same words
FAILED = "_failed"
#: Bells are all alike: more of them than parents that could hear one are of no use. The oldest goes.
MOST_BELLS = 100
#: Bound of `<kind>_failed` in bytes: the copies must not fill the broker's disk. The oldest goes; its row stays.
MOST_COPIED_BYTES = 256 << 20
#: What is kept of a foreign message, in bytes, and for how long in seconds.
MOST_FOREIGN_BYTES = 256 * 1024
FOREIGN_KEPT_S = 96 * 3600.0
#: What the user has to be allowed: `rabbitmqctl set_permissions -p VHOST USER CONFIGURE WRITE READ`. Kinds are words.
_OURS = r"central_dispatch\.calls(\..+)?|[A-Za-z][A-Za-z0-9-]*(_failed)?"
CONFIGURE_PATTERN = READ_PATTERN = f"^({_OURS})$"
WRITE_PATTERN = f"^(amq\\.default|{_OURS})$"
_MOST_BELL_BYTES = 1024
_MOST_REASON_CHARACTERS = 4000


def bells_arguments(*, cluster: bool) -> dict[str, Any]:
    """Return the arguments of a kind's queue of bells."""
    return {"x-queue-type": "quorum" if cluster else "classic", "x-max-length": MOST_BELLS}


def failed_arguments(*, cluster: bool) -> dict[str, Any]:
    """Return the arguments of a kind's queue of dead letters' copies."""
    return {"x-queue-type": "quorum" if cluster else "classic", "x-max-length-bytes": MOST_COPIED_BYTES}


def bell(queue: str) -> bytes:
    """Return a bell: rows of this queue may be due."""
    return json.dumps({"queue": queue}).encode()


def call(queues: Collection[str]) -> bytes:
    """Return a call: whoever runs jobs of these queues is to look after them."""
    return json.dumps({"queues": list(queues)}).encode()


def why_no_bell(body: bytes, queue: str) -> str:
    """Return why a message that lay in a kind's queue is no bell of it; empty where it is one."""
    if len(body) > _MOST_BELL_BYTES:
        return f"{len(body)} bytes are no bell: jobs are enqueued through central-dispatch, not published here"
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return "this is no bell, and no JSON: jobs are enqueued through central-dispatch, not published here"
    if not isinstance(value, dict) or set(value) != {"queue"}:
        return 'this is no bell, which is {"queue": …}: jobs are enqueued through central-dispatch, not published here'
    if value["queue"] != queue:
        return f"a bell for another queue, {str(value['queue'])[:100]!r}"
    return ""


def called_queues(body: bytes) -> list[str]:
    """Return the queues of a call; none where it is no call."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return []
    queues = value.get("queues") if isinstance(value, dict) else None
    return [name for name in queues if isinstance(name, str)] if isinstance(queues, list) else []


def letter_body(letter: DeadLetter) -> bytes:
    """Return a dead letter's payload as it lies in `<kind>_failed`."""
    return json.dumps(dict(letter.payload), ensure_ascii=False).encode("utf-8", "surrogatepass")


def letter_headers(letter: DeadLetter) -> dict[str, Any]:
    """Return what an operator wants to know about it. Fresh headers always: `x-death` and its like are not copied."""
    return {
        "job": letter.job,
        "queue": letter.queue,
        "attempts": letter.attempts,
        "reason": letter.error[:_MOST_REASON_CHARACTERS].encode("utf-8", "replace").decode(),
        "expires_at": letter.expires_at.astimezone(UTC).isoformat(timespec="seconds"),
    }


def foreign_headers(queue: str, reason: str, body: bytes) -> dict[str, Any]:
    """Return the headers of the copy of a message that was no bell."""
    headers: dict[str, Any] = {"queue": queue, "reason": reason, "foreign": True}
    return headers | ({"bytes": len(body)} if len(body) > MOST_FOREIGN_BYTES else {})
