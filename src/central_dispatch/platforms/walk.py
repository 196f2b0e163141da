"""How a path is reached without being led astray: one component at a time, from a directory we hold open.

A *trusted* directory belongs to root (or to us, where we are not root) and nobody else can write to it. A
symbolic link is followed only in a trusted directory and if it belongs to the same people. Whoever writes
demands that every directory on the way is trusted.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from central_dispatch.provisioning.problem import HostError, Occupied, Problem

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAX_LINKS = 40  # as the kernel's own limit
_MENDS = {
    errno.ENOSPC: "Free some space on that file system, then try again.",
    errno.EDQUOT: "Raise the quota or free some space, then try again.",
    errno.EROFS: "The file system is mounted read-only; mount it writable, then try again.",
    errno.EACCES: "Run the host worker as root, or as a user who may do this.",
    errno.EPERM: "Run the host worker as root, or take away the file's immutable attribute.",
    errno.EXDEV: "Both places must lie on one file system; move the directory in the host's settings.",
    errno.EMFILE: "Raise the host worker's limit of open files.",
    errno.EIO: "Look at the machine's kernel log: its disk may be failing.",
}


@contextmanager
def explained(what: str, path: str) -> Iterator[None]:
    """Turn what the system says into the words an administrator needs."""
    try:
        yield
    except FileExistsError as error:
        raise Occupied(Problem(f"{what} {path}", "it exists already", "It was left untouched.")) from error
    except OSError as error:
        why = error.strerror or str(error)
        raise HostError(Problem(f"{what} {path}", why, _MENDS.get(error.errno or 0, ""))) from error


def _parts(path: str) -> list[str]:
    parts = [part for part in path.split("/") if part]
    if not path.startswith("/") or "\0" in path or any(part in {".", ".."} for part in parts):
        raise HostError(Problem(f"Refused the path {path!r}", "it is not absolute, or has parts such as ..", ""))
    return parts


def is_trusted(found: os.stat_result) -> bool:
    """Say whether only root and we can change what lies in that directory."""
    us = os.geteuid()
    if found.st_uid not in {0, us}:
        return False
    shared = found.st_mode & stat.S_IWOTH
    if found.st_mode & stat.S_IWGRP:
        # A user's private group (umask 002) is the user; for root only root's group is.
        shared |= found.st_gid not in ({0} if us == 0 else {0, os.getegid()})
    # Under the sticky bit nobody else can rename or remove what is not theirs.
    return not shared or bool(found.st_mode & stat.S_ISVTX)


class _Walk:
    """A descent from the root directory; `fd` is where it stands."""

    def __init__(self, path: str, *, writing: bool) -> None:
        self._path = path
        self._writing = writing
        self._links = 0
        self.fd = -1
        self._start()

    def _start(self) -> None:
        self._stand(os.open("/", _DIRECTORY))
        self.trusted = True
        self._judge("/")

    def _stand(self, fd: int) -> None:
        self.close()
        self.fd = fd

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def _judge(self, name: str) -> None:
        self.trusted = self.trusted and is_trusted(os.fstat(self.fd))
        if self._writing and not self.trusted:
            raise HostError(
                Problem(
                    f"Refused to write at {self._path}",
                    f"“{name}” on the way to it belongs to another user, or others can write to it",
                    "Make root the owner of that directory and take write permission from others.",
                )
            )

    def descend(self, parts: list[str]) -> None:
        pending = list(parts)
        while pending:
            name = pending.pop(0)
            try:
                self._stand(os.open(name, _DIRECTORY, dir_fd=self.fd))
            except NotADirectoryError:
                pending = self._link(name) + pending
            else:
                self._judge(name)

    def _link(self, name: str) -> list[str]:
        """Return the parts that a trustworthy link stands for."""
        found = os.stat(name, dir_fd=self.fd, follow_symlinks=False)
        if not stat.S_ISLNK(found.st_mode):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), name)
        self._links += 1
        if not self.trusted or found.st_uid not in {0, os.geteuid()}:
            raise HostError(
                Problem(
                    f"Refused the path {self._path}",
                    f"“{name}” is a symbolic link that another user could have made",
                    "Remove the link, or name the place that it points to.",
                )
            )
        if self._links > _MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), self._path)
        target = os.readlink(name, dir_fd=self.fd)
        if target.startswith("/"):
            self._start()
        return [part for part in target.split("/") if part not in {"", "."}]


@contextmanager
def parent_of(path: str, *, writing: bool) -> Iterator[tuple[int, str]]:
    """Yield the directory that holds `path` (O_PATH, good for `dir_fd` alone) and the last name.

    With `writing`, every directory on the way must be trusted.
    """
    parts = _parts(path)
    walk = _Walk(path, writing=writing)
    try:
        walk.descend(parts[:-1])
        yield walk.fd, parts[-1] if parts else "."
    finally:
        walk.close()


@contextmanager
def opened_directory(path: str) -> Iterator[int]:
    """Yield the directory at `path`, open for reading."""
    walk = _Walk(path, writing=False)
    try:
        walk.descend(_parts(path))
        fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=walk.fd)
    finally:
        walk.close()
    try:
        yield fd
    finally:
        os.close(fd)


def sync_directory(fd: int) -> None:
    """Make the names in a directory durable; `fd` may be an O_PATH one."""
    real = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
    try:
        os.fsync(real)
    finally:
        os.close(real)
