"""The archive of an instance: database dump, files and a list with checksums. Mark: a file in the archive."""

import json
from typing import ClassVar

from central_dispatch.provisioning.mark import Mark
from central_dispatch.provisioning.ports import Host, Owner
from central_dispatch.provisioning.problem import Problem
from central_dispatch.provisioning.step import ABSENT, Change, Finding, Output, Step
from central_dispatch.provisioning.steps.database_user import PASSWORD

DUMP, FILES, LIST = "database.sql", "files.tar.gz", "archive.json"


class Archive(Step):
    """A directory below the host's archive directory, complete under its name or not there."""

    name: ClassVar[str] = "archive"

    target: str
    web_root: str  # empty: there are no files (any more)
    database: str  # empty: there is no database (any more)
    database_user: str
    user: str
    root: str

    @property
    def title(self) -> str:
        """Name the step."""
        return "Archive"

    def changes(self) -> list[Change]:
        """Name the archive and its parts."""
        dump = [Change("write", f"dump of {self.database}", f"{self.target}/{DUMP}")] if self.database else []
        files = [Change("write", f"files of {self.web_root}", f"{self.target}/{FILES}")] if self.web_root else []
        return [*dump, *files]

    def probe(self, host: Host, mark: Mark) -> Finding:
        """Judge by the list, which bears the mark."""
        staged = mark.staged(self.target)
        if host.files.find(self.target) is None:
            return Finding("ours", staged) if host.files.find(staged) else ABSENT
        listed = f"{self.target}/{LIST}"
        text = host.files.read(listed).decode(errors="replace") if host.files.find(listed) else ""
        state = mark.judge(text)
        if state == "ours" and self._is_last(host):
            # What it holds is nowhere else any more: the deletion was committed, whatever the journal says.
            state = "committed"
        return Finding("ours" if state == "foreign" and host.files.find(staged) else state, self.target)

    def _is_last(self, host: Host) -> bool:
        """Say whether the archive holds the only copy of what it was made from."""
        files_gone = bool(self.web_root) and host.files.find(self.web_root) is None
        return files_gone or (bool(self.database) and host.databases.find(self.database) is None)

    def do(self, host: Host, mark: Mark, output: Output) -> Problem | None:
        """Write the parts as the instance's own users, list them with checksums, rename."""
        files, staged, owner = host.files, mark.staged(self.target), Owner(self.root, self.root)
        files.create_directory(staged, owner, 0o700)
        parts = []
        if self.database:
            password = host.vault.secret(mark.instance, PASSWORD)
            target = f"{staged}/{DUMP}"
            host.databases.dump(self.database, self.database_user, password, as_user=self.user, target=target)
            parts.append(DUMP)
        if self.web_root:
            files.archive(self.web_root, f"{staged}/{FILES}", self.user)
            parts.append(FILES)
        sums = {part: files.checksum(f"{staged}/{part}") for part in parts}
        text = json.dumps({"mark": mark.open, "sha256": sums, "web_root": self.web_root}, indent=1)
        files.create_file(f"{staged}/{LIST}", text.encode(), owner, 0o600)
        files.move_new(staged, self.target)
        return None

    def verify(self, host: Host, mark: Mark) -> Problem | None:
        """Read every part again and compare its checksum."""
        listed = json.loads(host.files.read(f"{self.target}/{LIST}"))
        for part, expected in listed["sha256"].items():
            if host.files.checksum(f"{self.target}/{part}") != expected:
                return Problem(f"The archive {self.target} is damaged", f"{part} does not have its checksum")
        return None

    def clear(self, host: Host, mark: Mark, output: Output) -> None:
        """Remove the archive of a deletion that was backed out."""
        host.files.remove(mark.staged(self.target))
        if self.probe(host, mark).state == "ours":
            host.files.remove(self.target)

    def seal(self, host: Host, mark: Mark) -> None:
        """Change the mark in the list, before anything that the archive holds is removed."""
        listed = f"{self.target}/{LIST}"
        text = host.files.read(listed).decode().replace(mark.open, mark.sealed)
        staged = mark.staged(listed)
        host.files.remove(staged)
        host.files.create_file(staged, text.encode(), Owner(self.root, self.root), 0o600)
        host.files.replace(staged, listed)
