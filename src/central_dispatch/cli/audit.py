"""`audit`: who did what."""

import click

from central_dispatch.cli import exit_codes, screen
from central_dispatch.provisioning.problem import Problem


@click.group()
def audit() -> None:
    """Who did what, from where; it can only be added to."""


@audit.command("list")
@screen.command
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many, newest first.")
@click.option("--subject", default="", help="Only what was done to it, such as instance:ID.")
def list_entries(limit: int, subject: str) -> None:
    """List the newest entries of the audit trail."""
    from central_dispatch.cli import dispatcher  # noqa: F401 makes Django ready
    from central_dispatch.portal.audit.models import AuditEntry

    found = AuditEntry.objects.all()
    if subject:
        found = found.filter(subject=subject)
    values = [
        {
            "at": entry.at.isoformat(timespec="seconds"),
            "who": entry.who,
            "via": entry.via,
            "address": entry.address,
            "what": entry.what,
            "subject": entry.subject,
            "title": entry.title,
            "before": entry.before,
            "after": entry.after,
        }
        for entry in found[:limit]
    ]
    columns = {"at": "When", "who": "Who", "via": "Via", "what": "What", "title": "On", "subject": "Id"}
    screen.rows(values, columns, "Nothing was recorded yet.")


@audit.command("verify")
@screen.command
@click.option(
    "--head", default="", metavar="SEAL", help="A head that was kept elsewhere; it must still be in the trail."
)
def verify(head: str) -> None:
    """Check that no entry was changed, removed or put in since it was written. Ends with 1 where one was."""
    from central_dispatch.cli import dispatcher  # noqa: F401 makes Django ready
    from central_dispatch.portal.audit import verifying

    found = verifying.verify(head)
    if isinstance(found, verifying.Broken):
        where = f"entry {found.entry}" if found.entry else "the end of the trail"
        mend = "Compare with a backup of the database, and find out who could write to it."
        raise screen.Stop(exit_codes.FAILED, Problem(f"The audit trail is broken at {where}", found.why, mend))
    sentence = f"All {found.entries} entries are as they were written. Head, to be kept elsewhere: {found.head}"
    screen.say({"entries": found.entries, "head": found.head}, sentence)
