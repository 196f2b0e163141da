"""A text file of a host's configuration that bears its run's mark in its first line.

Written beside its final name, renamed without overwriting: while the staged name exists, the final one was
not made by this run. The first line is a comment in the file's own language.
"""

from dataclasses import dataclass

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Files, Owner
from central_dispatch.provisioning.step import ABSENT, Finding, Output

# Enough for the mark, whatever follows it.
HEAD_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class MarkedFile:
    """One such file. `body` is what follows the mark's line; `comment` is the language's comment sign.

    An empty `body` means that it is not known (a deletion): then no edit is looked for.
    """

    path: str
    body: str
    owner: Owner
    mode: int
    comment: str = "#"

    def content(self, mark: Mark) -> bytes:
        """Return the whole file as this run writes it."""
        return f"{self.comment} {mark.open}\n{self.body}".encode()

    def stage(self, files: Files, mark: Mark) -> str:
        """Write the file under its staged name and return that name."""
        staged = mark.staged(self.path)
        files.create_file(staged, self.content(mark), self.owner, self.mode)
        return staged

    def publish(self, files: Files, mark: Mark) -> None:
        """Give the staged file its final name; `Occupied` if somebody was quicker."""
        files.move_new(mark.staged(self.path), self.path)

    def probe(self, files: Files, mark: Mark) -> Finding:
        """Say whose the file is."""
        staged = files.find(mark.staged(self.path)) is not None
        entry = files.find(self.path)
        if entry is None:
            return Finding("ours", f"{self.path} (prepared)") if staged else ABSENT
        state = mark.judge(self._head(files)) if entry.kind == "file" else "foreign"
        if state == "foreign" and staged:
            return Finding("ours", f"{self.path} (prepared)")
        return Finding(state, self.path)

    def clear(self, files: Files, mark: Mark, output: Output) -> None:
        """Remove what bears this instance's mark; a file that was edited since is kept under a hidden name."""
        files.remove(mark.staged(self.path))
        entry = files.find(self.path)
        if entry is None or entry.kind != "file" or mark.judge(self._head(files)) == "foreign":
            return
        body = self._head(files).partition("\n")[2]
        if not self.body or body == self.body:
            files.remove(self.path)
        else:
            kept = mark.kept(self.path)
            files.move_new(self.path, kept)
            output(f"{self.path} was edited since; kept as {kept}")

    def seal(self, files: Files, mark: Mark) -> None:
        """Change the open mark in the first line into the sealed one; what follows it stays as it is."""
        entry = files.find(self.path)
        if entry is None or entry.kind != "file" or mark.judge(head := self._head(files)) != "ours":
            return
        staged = mark.staged(self.path)
        files.remove(staged)
        body = head.partition("\n")[2]
        files.create_file(staged, f"{self.comment} {mark.sealed}\n{body}".encode(), self.owner, self.mode)
        files.replace(staged, self.path)

    def differs(self, files: Files, mark: Mark) -> bool:
        """Say whether the file is not what this run wrote."""
        entry = files.find(self.path)
        return entry is None or entry.kind != "file" or files.read(self.path) != self.content(mark)

    def _head(self, files: Files) -> str:
        return files.read(self.path, HEAD_BYTES).decode(errors="replace")
