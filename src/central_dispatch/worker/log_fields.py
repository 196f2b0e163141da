"""What a line of the log is about, in fields beside its message: `extra=about(claim)`. The form is the command's."""

from typing import Any

from central_dispatch.jobs.job import Claim


def about(claim: Claim) -> dict[str, Any]:
    """Return the fields of a line about an execution."""
    return {"job": claim.job, "kind": claim.kind, "queue": claim.kind, "fence": claim.fence}
