"""Captured output: a table of its own, read by who looks at one execution."""

from collections.abc import Iterable, Mapping, Sequence

from central_dispatch.jobs.ports import Settled
from central_dispatch.stores.server.session import Session

#: More than this of one execution is not kept: its end is, as errors come last.
MAX_OUTPUT_BYTES = 128 * 1024
_AT_ONCE = 30  # a few MiB at most in one message
_PUT = """
INSERT INTO job_output (job, fence, content) VALUES (%s, %s, %s)
ON CONFLICT (job, fence) DO UPDATE SET content = excluded.content"""


def write_output(session: Session, settled: Iterable[Settled]) -> None:
    """Keep the output of executions that are settled in this transaction."""
    _put(session, [(one.claim.job, one.claim.fence, one.output) for one in settled if one.output])


def keep_output(session: Session, outputs: Mapping[tuple[int, int], bytes]) -> None:
    """Keep what running executions printed so far; of one that has ended meanwhile the settlement has it all."""
    running = session.rows(
        "SELECT id, fence FROM job WHERE id IN %s AND state = 'running' ORDER BY id FOR UPDATE",
        [job for job, _ in outputs],
    )
    _put(session, [(job, fence, outputs[job, fence]) for job, fence in running if (job, fence) in outputs])


def read_output(session: Session, job: int, fence: int) -> bytes:
    """Return one execution's output; empty where there is none."""
    row = session.one("SELECT content FROM job_output WHERE job = %s AND fence = %s", job, fence)
    return bytes(row[0]) if row else b""


def _put(session: Session, outputs: Sequence[tuple[int, int, bytes]]) -> None:
    for start in range(0, len(outputs), _AT_ONCE):
        piece = outputs[start : start + _AT_ONCE]
        session.many(_PUT, [(job, fence, content[-MAX_OUTPUT_BYTES:]) for job, fence, content in piece])
