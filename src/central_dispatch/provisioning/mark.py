"""The mark by which a thing on a host is provably ours (DESIGN.md §3).

An *open* mark names the run that made the thing and has not committed; a *sealed* one names the run that
committed it. An undo touches only what bears its own run's open mark, so a journal that was rewound to
before its commit finds sealed marks and destroys nothing.
"""

import re
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

_MARK = re.compile(r"central-dispatch instance=([0-9a-f]{32}) (run|committed)=([0-9a-f]{32})")

State = Literal["absent", "ours", "committed", "foreign"]


@dataclass(frozen=True, slots=True)
class Mark:
    """The pair of ids (32 hex digits each) that every thing of a run bears."""

    instance: str
    run: str
    trusts: bool = False
    """Whether a thing without our mark counts as this instance's: an administrator confirmed it by name."""

    alone: bool = False
    """Whether only this very run speaks for the instance: what another run of it made counts as foreign."""

    def trusting(self) -> "Mark":
        """Return this mark for a thing that an administrator confirmed."""
        return replace(self, trusts=True)

    def strict(self) -> "Mark":
        """Return this mark for the question whether a thing is this very run's, open or sealed."""
        return replace(self, alone=True)

    @property
    def open(self) -> str:
        """The mark of a run under way. Safe in GECOS fields, SQL comments and configuration comments."""
        return f"central-dispatch instance={self.instance} run={self.run}"

    @property
    def sealed(self) -> str:
        """The mark after the commit."""
        return f"central-dispatch instance={self.instance} committed={self.run}"

    def staged(self, path: str) -> str:
        """Return the hidden sibling under which this run prepares `path`, to be renamed when complete.

        While the staged name exists, the final one was not made by this run.
        """
        final = PurePosixPath(path)
        return str(final.with_name(f".cd-{self.run}-{final.name}.new"))

    def discarded(self, path: str) -> str:
        """Return the hidden sibling to which an undo renames `path` before it is removed piece by piece."""
        final = PurePosixPath(path)
        return str(final.with_name(f".cd-{self.run}-{final.name}.gone"))

    def kept(self, path: str) -> str:
        """Return the hidden sibling under which an undo keeps a file that somebody has edited since."""
        final = PurePosixPath(path)
        return str(final.with_name(f".cd-{self.run}-{final.name}.kept"))

    def judge(self, text: str) -> State:
        """Say whose a thing is that bears `text`: this run's, this instance's, or somebody else's."""
        found = _MARK.search(text)
        if not found or found[1] != self.instance:
            return "committed" if self.trusts else "foreign"
        if self.alone and found[3] != self.run:
            return "foreign"
        return "ours" if (found[2], found[3]) == ("run", self.run) else "committed"
