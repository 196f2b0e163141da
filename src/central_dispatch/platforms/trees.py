"""Whole directories, copied, measured and removed through directory descriptors: no name is looked up twice."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

_READ_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Deeper than any portal; a tenant may nest without end to exhaust our descriptors or stack.
_MAX_DEPTH = 100
_MAX_PASSES = 1000


@contextmanager
def _inside(fd: int, name: str) -> Iterator[int]:
    inner = os.open(name, _READ_DIRECTORY, dir_fd=fd)
    try:
        yield inner
    finally:
        os.close(inner)


def _entries(fd: int) -> list[os.DirEntry[str]]:
    with os.scandir(fd) as found:
        return list(found)


@dataclass(frozen=True, slots=True)
class Copy:
    """Copies what lies in one directory into another, giving each copy the owner `uid:gid` (-1: leave)."""

    uid: int
    gid: int
    excluded: frozenset[str]

    def fill(self, source: int, target: int, prefix: str = "") -> None:
        """Copy the entries of the directory `source` into the empty directory `target`."""
        if prefix.count("/") > _MAX_DEPTH:
            raise OSError(errno.ELOOP, f"directories are nested more than {_MAX_DEPTH} deep", prefix)
        for entry in _entries(source):
            if prefix + entry.name not in self.excluded:
                self._one(entry, source, target, prefix)

    def _one(self, entry: os.DirEntry[str], source: int, target: int, prefix: str) -> None:
        name = entry.name
        if entry.is_symlink():
            os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
            os.chown(name, self.uid, self.gid, dir_fd=target, follow_symlinks=False)
        elif entry.is_dir(follow_symlinks=False):
            os.mkdir(name, 0o700, dir_fd=target)
            with _inside(source, name) as inner, _inside(target, name) as copy:
                self.fill(inner, copy, f"{prefix}{name}/")
                self.finish(inner, copy)
        elif entry.is_file(follow_symlinks=False):
            self._file(name, source, target)
        else:
            raise OSError(errno.EINVAL, "neither a file, a directory nor a link", prefix + name)

    def _file(self, name: str, source: int, target: int) -> None:
        reading = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source)
        try:
            writing = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
            try:
                copy_content(reading, writing)
                self.finish(reading, writing)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def finish(self, source: int, target: int) -> None:
        """Give a copy its owner, its time, and a mode that lets the group read and others do nothing."""
        found = os.fstat(source)
        os.fchown(target, self.uid, self.gid)
        executable = stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IXUSR
        os.fchmod(target, 0o750 if executable else 0o640)
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def copy_content(source: int, target: int) -> None:
    """Copy a file's bytes inside the kernel (sharing blocks where it can), else through memory."""
    with suppress(OSError):
        while os.copy_file_range(source, target, 1 << 30):
            pass
        return
    # Refused at the start (other file systems, old kernels) or in between: from where it stands.
    while block := os.read(source, 1 << 20):
        view = memoryview(block)
        while view:
            view = view[os.write(target, view) :]


def size_on_disk(fd: int, depth: int = 0) -> int:
    """Return the bytes that the regular files below the directory `fd` take."""
    if depth > _MAX_DEPTH:
        raise OSError(errno.ELOOP, f"directories are nested more than {_MAX_DEPTH} deep")
    total = 0
    for entry in _entries(fd):
        # What vanishes while we count takes no room.
        with suppress(FileNotFoundError, NotADirectoryError):
            if entry.is_dir(follow_symlinks=False):
                with _inside(fd, entry.name) as inner:
                    total += size_on_disk(inner, depth + 1)
            elif entry.is_file(follow_symlinks=False):
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    return total


def remove_directory(parent: int, name: str) -> None:
    """Remove a directory with all that it holds, even while its owner rearranges it.

    Follows no link and never leaves the tree; stops at a mount point.
    """
    with _inside(parent, name) as top:
        device = os.fstat(top).st_dev
        for _ in range(_MAX_PASSES):
            _empty(top, top, device, 0)
            if not _entries(top):
                break
    os.rmdir(name, dir_fd=parent)


def _empty(top: int, fd: int, device: int, depth: int) -> None:
    for entry in _entries(fd):
        with suppress(FileNotFoundError):
            if not entry.is_dir(follow_symlinks=False):
                _unlink(fd, entry.name)
            elif depth >= _MAX_DEPTH:
                # Lifted to the top for the next pass, so that neither stack nor descriptors run out.
                os.rename(entry.name, f".cd-lifted-{secrets.token_hex(8)}", src_dir_fd=fd, dst_dir_fd=top)
            else:
                _remove_inner(top, fd, entry.name, device, depth)


def _unlink(fd: int, name: str) -> None:
    # Swapped for a directory since we looked: the next pass takes it.
    with suppress(IsADirectoryError):
        os.unlink(name, dir_fd=fd)


def _stay_on(device: int, fd: int, name: str) -> None:
    if os.fstat(fd).st_dev != device:
        raise OSError(errno.EBUSY, "another file system is mounted there", name)


def _remove_inner(top: int, fd: int, name: str, device: int, depth: int) -> None:
    try:
        with _inside(fd, name) as inner:
            _stay_on(device, inner, name)
            _empty(top, inner, device, depth + 1)
        os.rmdir(name, dir_fd=fd)
    except OSError as error:
        # Swapped for a link, or filled again since we looked: the next pass takes it.
        if error.errno not in {errno.ELOOP, errno.ENOTDIR, errno.ENOTEMPTY, errno.EEXIST}:
            raise
