"""What every store does with values before it writes them, and after it read them. Pure: no database."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from central_dispatch.jobs.job import HIGHEST, LOWEST, MAX_PAYLOAD_BYTES, Claim, NewJob, Settlement
from central_dispatch.jobs.outcome import Crashed
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.jobs.settling import settle as decide

# Made once: `json.dumps` with such wishes makes one for each call, which costs as much as the encoding.
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)
# As it is written; a backslash before it is itself preceded by one, where it stands for itself.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


def payload_text(job: NewJob) -> str:
    """Return the payload as it is stored; `ValueError` says what is wrong with it."""
    text = _ENCODER.encode(dict(job.payload))
    if _NUL.search(text):
        where = next(name for name, value in job.payload.items() if _NUL.search(_ENCODER.encode({name: value})))
        raise ValueError(
            f"the payload's {where!r} holds a NUL character, which not every database can keep: leave it out"
        )
    size = len(text.encode())
    if size > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"the payload has {size} bytes, {MAX_PAYLOAD_BYTES} are allowed: write it to a file that the payload names"
        )
    return text


def check(job: NewJob) -> None:
    """`ValueError` says what is wrong with a new job, its payload aside."""
    if not LOWEST <= job.priority <= HIGHEST:
        raise ValueError(f"the priority is {job.priority}: use {LOWEST} to {HIGHEST}")
    if (job.batch is None) != (job.batch_index is None):
        raise ValueError("batch and batch_index go together")


def result_text(result: Mapping[str, Any]) -> str:
    """Return a result as it is stored."""
    return json.dumps(dict(result), ensure_ascii=False, default=str)


def heed(settlement: Settlement, interrupt_by: str) -> Settlement:
    """Let an interrupt that was asked for end the job where it would be tried again."""
    if settlement.state != "waiting" or not interrupt_by:
        return settlement
    return replace(settlement, state="interrupted", due_at=None, by=interrupt_by)


def after_its_parent(claim: Claim, settings: QueueSettings, error: str, now: datetime, luck: float) -> Settlement:
    """Return what becomes of a job whose parent is gone. An attempt counts, so that a job that kills parents ends."""
    settlement = decide(claim, Crashed(error), settings, now, luck)
    # Most likely it is not the job's fault: at once, not after the delay of a failure.
    return replace(settlement, due_at=now) if settlement.state == "waiting" else settlement


def interrupted_of(
    claims: Collection[tuple[int, int]], running: Mapping[int, tuple[int, str]]
) -> list[tuple[int, str]]:
    """Return (job, by whom) of those of our claims that are to be interrupted; by "" for one whose fence is lost.

    `running`: fence and who asked for an interrupt, by job, as the rows have it.
    """
    found = []
    for job, fence in claims:
        now_held, by = running.get(job, (None, ""))
        if now_held != fence:
            found.append((job, ""))
        elif by:
            found.append((job, by))
    return found
