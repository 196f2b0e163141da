"""The few system calls of Linux that Python's `os` lacks, by way of the C library."""

import ctypes
import errno
import os

_libc = ctypes.CDLL(None, use_errno=True)
_RENAME_NOREPLACE = 1


def _check(result: int, path: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)


def rename_new(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Rename `source` in one directory to `target` in another, atomically refusing an existing target.

    A file system that cannot do so (NFS, for one) gets a look and a rename: the callers' directories are
    writable only for the one who calls, who is one process.
    """
    try:
        result = _libc.renameat2(source_fd, os.fsencode(source), target_fd, os.fsencode(target), _RENAME_NOREPLACE)
        _check(result, target)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}:
            raise
        _rename_after_look(source_fd, source, target_fd, target)


def _rename_after_look(source_fd: int, source: str, target_fd: int, target: str) -> None:
    try:
        os.stat(target, dir_fd=target_fd, follow_symlinks=False)
    except FileNotFoundError:
        os.rename(source, target, src_dir_fd=source_fd, dst_dir_fd=target_fd)
    else:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target)


def sync_file_system(descriptor: int) -> None:
    """Write everything of the file system that holds `descriptor` to its disk."""
    _check(_libc.syncfs(descriptor), "")
