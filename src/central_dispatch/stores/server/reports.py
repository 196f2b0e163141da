"""Progress of running jobs."""

from collections.abc import Mapping

from central_dispatch.jobs.job import MAX_WORDS, Progress
from central_dispatch.stores.server.session import Session, plain


def write_progress(session: Session, reports: Mapping[tuple[int, int], Progress]) -> list[int]:
    """Note progress by (job, fence); one with an older fence is passed over. Returns the jobs that were noted."""
    statement = "UPDATE job SET percent = %s, words = %s WHERE id = %s AND fence = %s AND state = 'running'"
    noted = []
    # In the order of their numbers, as whoever settles: nobody waits in a circle.
    for (job, fence), progress in sorted(reports.items()):
        percent = min(100.0, max(0.0, progress.percent))
        if session.run(statement, percent, plain(progress.words)[:MAX_WORDS], job, fence):
            noted.append(job)
    return noted
