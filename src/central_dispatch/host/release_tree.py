"""The tree of a release: copied once with its links resolved, then never changed, which a checksum proves."""

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from central_dispatch.provisioning.problem import HostError, Problem

_MAX_DEPTH = 100
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a release may hold at most."""

    size_bytes: int = 8 << 30
    entries: int = 500_000


@dataclass(slots=True)
class Copied:
    """What a copy came to. `left_out` names dangling links and what is neither file, directory nor link."""

    size_bytes: int = 0
    entries: int = 0
    left_out: list[str] = field(default_factory=list)


class TreeCopy:
    """Copies a tree as a release: links inside it stay (relative), others become what they point to.

    A link out of the tree may only lead below one of `link_roots`. Files become 0644 or 0755, directories 0755.
    """

    def __init__(self, source: Path, link_roots: tuple[Path, ...] = (), bounds: Bounds | None = None) -> None:
        self._source = source.resolve()
        self._roots = tuple(root.resolve() for root in link_roots)
        self._bounds = bounds or Bounds()
        self.copied = Copied()

    def to(self, target: Path) -> Copied:
        """Copy into `target`, which is made; raises `HostError`, `OSError`."""
        target.mkdir(mode=0o755)
        target.chmod(0o755)
        self._directory(self._source, target, PurePosixPath(), (self._source,))
        return self.copied

    def _directory(self, source: Path, target: Path, relative: PurePosixPath, above: tuple[Path, ...]) -> None:
        if len(above) > _MAX_DEPTH:
            raise HostError(Problem(f"{relative} is nested too deep", f"more than {_MAX_DEPTH} directories"))
        with os.scandir(source) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            self._count()
            self._entry(Path(entry.path), target / entry.name, relative / entry.name, above)

    def _entry(self, path: Path, target: Path, relative: PurePosixPath, above: tuple[Path, ...]) -> None:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            self._link(path, target, relative, above)
        elif stat.S_ISDIR(mode):
            target.mkdir(mode=0o755)
            target.chmod(0o755)
            self._directory(path, target, relative, (*above, path))
        elif stat.S_ISREG(mode):
            self._file(path, target)
        else:
            self.copied.left_out.append(str(relative))

    def _link(self, path: Path, target: Path, relative: PurePosixPath, above: tuple[Path, ...]) -> None:
        real = Path(os.path.realpath(path))
        if not real.exists():
            self.copied.left_out.append(str(relative))
        elif (
            real.is_relative_to(self._source) and above[0] == self._source and path.parent.is_relative_to(self._source)
        ):
            inside = PurePosixPath(os.path.relpath(real, path.parent.resolve()))
            target.symlink_to(inside)
        elif not any(real.is_relative_to(root) for root in self._roots):
            raise HostError(
                Problem(
                    f"{relative} is a link out of the tree",
                    f"it points to {real}",
                    f"If that belongs to the release, allow it: --link-root {real.parent}",
                )
            )
        elif real.is_dir():
            if real in above:
                raise HostError(Problem(f"{relative} is a link to a directory around it", f"it points to {real}"))
            target.mkdir(mode=0o755)
            target.chmod(0o755)
            self._directory(real, target, relative, (*above, real))
        else:
            self._file(real, target)

    def _file(self, path: Path, target: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as source:
            found = os.fstat(fd)
            if not stat.S_ISREG(found.st_mode):
                raise HostError(Problem(f"{path} changed while it was copied", "", "Try again."))
            self._count(found.st_size)
            with target.open("xb") as copy:
                shutil.copyfileobj(source, copy, _CHUNK)
                os.fchmod(copy.fileno(), 0o755 if found.st_mode & stat.S_IXUSR else 0o644)
        os.utime(target, ns=(found.st_mtime_ns, found.st_mtime_ns))

    def _count(self, size: int | None = None) -> None:
        copied = self.copied
        if size is None:
            copied.entries += 1
        else:
            copied.size_bytes += size
        if copied.entries > self._bounds.entries or copied.size_bytes > self._bounds.size_bytes:
            raise HostError(
                Problem(
                    "The release is too large",
                    f"more than {self._bounds.entries} entries or {self._bounds.size_bytes / 1e9:.0f} GB",
                    "Is it the right directory?",
                )
            )


def checksum(tree: Path) -> str:
    """Return the SHA-256 (hex) over each entry's relative path, kind, mode and content, sorted by path."""
    digest = hashlib.sha256()
    for relative, path in _walk(tree, PurePosixPath()):
        found = path.lstat()
        mode = stat.S_IMODE(found.st_mode)
        if stat.S_ISLNK(found.st_mode):
            digest.update(_head(relative, "link", 0, os.fsencode(path.readlink())))
        elif stat.S_ISDIR(found.st_mode):
            digest.update(_head(relative, "directory", mode, b""))
        elif stat.S_ISREG(found.st_mode):
            digest.update(_head(relative, "file", mode, _content(path)))
        else:
            digest.update(_head(relative, "other", mode, b""))
    return digest.hexdigest()


def _walk(directory: Path, relative: PurePosixPath) -> Iterator[tuple[PurePosixPath, Path]]:
    with os.scandir(directory) as found:
        entries = sorted(found, key=lambda entry: os.fsencode(entry.name))
    for entry in entries:
        yield relative / entry.name, Path(entry.path)
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path), relative / entry.name)


def _head(relative: PurePosixPath, kind: str, mode: int, content: bytes) -> bytes:
    """Return one entry's part; each piece with its length, so that no two trees read alike."""
    pieces = (os.fsencode(str(relative)), kind.encode(), b"%o" % mode, content)
    return b"".join(b"%d:%s," % (len(piece), piece) for piece in pieces)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
