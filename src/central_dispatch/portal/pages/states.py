"""How each state looks and reads: a tone, a sign of its own shape, and the word. One table for all pages."""

from dataclasses import dataclass
from typing import Literal

Tone = Literal["calm", "good", "busy", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Look:
    """A state's appearance. The sign differs in shape and the word is always there: colour is never alone."""

    tone: Tone
    sign: str  # a key of `signs.SIGNS`
    word: str


INSTANCE = {
    "draft": Look("calm", "ring", "draft"),
    "deploying": Look("busy", "turns", "deploying"),
    "active": Look("good", "check", "active"),
    "changing": Look("busy", "turns", "changing"),
    "suspended": Look("calm", "pause", "suspended"),
    "backing_out": Look("warn", "back", "backing out"),
    "archived": Look("calm", "box", "archived"),
    "in_error": Look("bad", "alert", "in error"),
    "stuck": Look("bad", "stop", "stuck"),
    "deleted": Look("calm", "cross", "deleted"),
}
RUN = {
    "requested": Look("busy", "clock", "waiting for the host"),
    "claimed": Look("busy", "clock", "taken by the host"),
    "running": Look("busy", "turns", "running"),
    "backing_out": Look("warn", "back", "backing out"),
    "finishing": Look("busy", "turns", "finishing"),
    "stuck": Look("bad", "stop", "stuck"),
    "committed": Look("good", "check", "done"),
    "backed_out": Look("bad", "back", "backed out"),
    "planned": Look("good", "check", "planned"),
    "found": Look("good", "check", "found"),
    "refused": Look("bad", "alert", "refused"),
    "withdrawn": Look("calm", "cross", "withdrawn"),
    "lost": Look("bad", "away", "lost"),
}
STEP = {
    "untouched": Look("calm", "ring", "to do"),
    "open": Look("busy", "turns", "under way"),
    "done": Look("good", "check", "done"),
    "failed": Look("bad", "alert", "failed"),
    "undoing": Look("warn", "turns", "being undone"),
    "undone": Look("calm", "back", "undone"),
    "stuck": Look("bad", "stop", "stuck"),
    "acknowledged": Look("warn", "pause", "acknowledged"),
}
WORKER = {
    "online": Look("good", "check", "online"),
    "away": Look("bad", "away", "away"),
    "invited": Look("calm", "clock", "not enrolled yet"),
    "revoked": Look("calm", "cross", "revoked"),
}
JOB = {
    "waiting": Look("calm", "clock", "waiting"),
    "retry": Look("warn", "back", "waiting for a retry"),
    "deferred": Look("calm", "pause", "deferred"),
    "running": Look("busy", "turns", "running"),
    # Whether it stopped, only its end will say.
    "asked": Look("warn", "stop", "asked to stop"),
    "finished": Look("good", "check", "finished"),
    "in_error": Look("bad", "alert", "in error"),
    "interrupted": Look("calm", "cross", "interrupted"),
}
#: How an execution ended.
OUTCOME = {
    "now": Look("busy", "turns", "running"),
    "done": Look("good", "check", "done"),
    "failed": Look("bad", "alert", "failed"),
    "crashed": Look("bad", "stop", "ended without an answer"),
    "deferred": Look("calm", "pause", "put off"),
    "stopped": Look("calm", "cross", "stopped"),
    "released": Look("calm", "back", "given back"),
}
QUEUE = {
    "open": Look("good", "check", "open"),
    "paused": Look("warn", "pause", "paused"),
    "unserved": Look("bad", "away", "no worker"),
    "idle": Look("calm", "ring", "no worker, nothing waits"),
}
PARENT = {"online": Look("good", "check", "online"), "away": Look("bad", "away", "away")}
TABLES = {
    "instance": INSTANCE,
    "run": RUN,
    "step": STEP,
    "worker": WORKER,
    "job": JOB,
    "outcome": OUTCOME,
    "queue": QUEUE,
    "parent": PARENT,
}
#: The states of jobs in the order of their tabs.
JOB_ORDER = ("waiting", "running", "finished", "in_error", "interrupted")

#: Instances in the order in which they need a person.
INSTANCE_ORDER = (
    "stuck",
    "in_error",
    "backing_out",
    "deploying",
    "changing",
    "active",
    "suspended",
    "draft",
    "archived",
)


def look_of(kind: str, state: str) -> Look:
    """Return how a state looks; one of a newer version is shown by its own word."""
    return TABLES[kind].get(state, Look("calm", "ring", state.replace("_", " ")))
