"""Files of a POSIX host, written durably, exclusively, and only where nobody else can interfere."""

import errno
import grp
import hashlib
import os
import pwd
import secrets
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path, PurePosixPath
from typing import Literal

from central_dispatch.platforms import trees
from central_dispatch.platforms.syscalls import rename_new, sync_file_system
from central_dispatch.platforms.tenant import write_output
from central_dispatch.platforms.walk import explained, opened_directory, parent_of, sync_directory
from central_dispatch.provisioning.ports import Entry, Owner
from central_dispatch.provisioning.problem import HostError, Problem

_KINDS: dict[int, Literal["file", "directory", "link"]] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
}
# Such a file has no name until it is linked: there whole, or not at all.
_UNNAMED = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC
_RELABEL_TIMEOUT_S = 120


class PosixFiles:
    """Adapter of `ports.Files`. Where we are not root, `Owner` is ignored: all is ours.

    `relabel_argv` is the command that gives new paths their SELinux context; it runs where SELinux is on.
    """

    def __init__(self, relabel_argv: tuple[str, ...] = (), selinux: str = "/sys/fs/selinux/enforce") -> None:
        self._relabel_argv = relabel_argv if relabel_argv and Path(selinux).exists() else ()

    def find(self, path: str) -> Entry | None:
        """See `ports.Files`."""
        with explained("Cannot look at", path):
            try:
                with parent_of(path, writing=False) as (fd, name):
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    is_link = stat.S_ISLNK(found.st_mode)
                    target = os.readlink(name, dir_fd=fd) if is_link else ""
            except (FileNotFoundError, NotADirectoryError):
                return None
        return Entry(
            kind=_KINDS.get(stat.S_IFMT(found.st_mode), "other"),
            owner=_user_name(found.st_uid),
            group=_group_name(found.st_gid),
            mode=stat.S_IMODE(found.st_mode),
            size=found.st_size,
            changed_ns=found.st_mtime_ns,
            target=target,
        )

    def names(self, path: str) -> list[str]:
        """See `ports.Files`."""
        with explained("Cannot list", path):
            try:
                with opened_directory(path) as fd:
                    return sorted(os.listdir(fd))  # noqa: PTH208 a descriptor, not a path
            except (FileNotFoundError, NotADirectoryError):
                return []

    def read(self, path: str, limit: int = 1 << 20) -> bytes:
        """See `ports.Files`."""
        with explained("Cannot read", path), _opened_file(path) as stream:
            content = stream.read(limit + 1)
        if len(content) > limit:
            raise HostError(Problem(f"Cannot read {path}", f"it is larger than {limit} bytes", ""))
        return content

    def create_file(self, path: str, content: bytes, owner: Owner, mode: int) -> None:
        """See `ports.Files`. The name appears with the whole content, owner and mode, or not at all."""
        uid, gid = _numbers(owner)
        with explained("Cannot create", path), parent_of(path, writing=True) as (fd, name):
            file, staged = _open_unnamed(fd)
            try:
                os.fchown(file, uid, gid)
                os.fchmod(file, mode)
                _write_all(file, content)
                os.fsync(file)
                _give_name(file, staged, fd, name)
            except BaseException:
                if staged:
                    with suppress(OSError):
                        os.unlink(staged, dir_fd=fd)
                raise
            finally:
                os.close(file)
            sync_directory(fd)
        self._relabel(path)

    def create_directory(self, path: str, owner: Owner, mode: int) -> None:
        """See `ports.Files`. Killed in between, it leaves an empty directory that is root's alone."""
        uid, gid = _numbers(owner)
        with explained("Cannot create", path), parent_of(path, writing=True) as (fd, name):
            os.mkdir(name, 0o700, dir_fd=fd)
            made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            try:
                os.fchown(made, uid, gid)
                os.fchmod(made, mode)
                os.fsync(made)
            finally:
                os.close(made)
            sync_directory(fd)
        self._relabel(path)

    def create_link(self, path: str, target: str) -> None:
        """See `ports.Files`."""
        with explained("Cannot create", path), parent_of(path, writing=True) as (fd, name):
            os.symlink(target, name, dir_fd=fd)
            sync_directory(fd)

    def copy_tree(self, source: str, target: str, owner: Owner, excluded: Sequence[str] = ()) -> None:
        """See `ports.Files`. Durable only after `sync`."""
        uid, gid = _numbers(owner)
        copy = trees.Copy(uid, gid, frozenset(excluded))
        with explained("Cannot copy to", target), opened_directory(source) as reading:
            with parent_of(target, writing=True) as (fd, name):
                os.mkdir(name, 0o700, dir_fd=fd)
                made = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            try:
                copy.fill(reading, made)
                copy.finish(reading, made)
            finally:
                os.close(made)
        self._relabel(target)

    def move_new(self, source: str, target: str) -> None:
        """See `ports.Files`."""
        with (
            explained("Cannot move to", target),
            parent_of(source, writing=True) as (source_fd, source_name),
            parent_of(target, writing=True) as (target_fd, target_name),
        ):
            rename_new(source_fd, source_name, target_fd, target_name)
            sync_directory(target_fd)
            sync_directory(source_fd)

    def replace(self, source: str, target: str) -> None:
        """See `ports.Files`."""
        with (
            explained("Cannot replace", target),
            parent_of(source, writing=True) as (source_fd, source_name),
            parent_of(target, writing=True) as (target_fd, target_name),
        ):
            os.rename(source_name, target_name, src_dir_fd=source_fd, dst_dir_fd=target_fd)
            sync_directory(target_fd)
            sync_directory(source_fd)

    def remove(self, path: str) -> None:
        """See `ports.Files`. Durable on return."""
        with explained("Cannot remove", path):
            try:
                with parent_of(path, writing=True) as (fd, name):
                    found = os.stat(name, dir_fd=fd, follow_symlinks=False)
                    if stat.S_ISDIR(found.st_mode):
                        trees.remove_directory(fd, name)
                    else:
                        os.unlink(name, dir_fd=fd)
                    sync_directory(fd)
            except (FileNotFoundError, NotADirectoryError):
                return

    def free_bytes(self, path: str) -> int:
        """See `ports.Files`."""
        with explained("Cannot see the free space of", path):
            nearest = PurePosixPath(path)
            while not os.path.lexists(nearest):
                nearest = nearest.parent
            found = os.statvfs(nearest)
        return found.f_bavail * found.f_frsize

    def tree_size(self, path: str) -> int:
        """See `ports.Files`."""
        with explained("Cannot measure", path), opened_directory(path) as fd:
            return trees.size_on_disk(fd)

    def archive(self, source: str, target: str, as_user: str) -> None:
        """See `ports.Files`. What the user may not read is not in it."""
        # A file that the portal changes meanwhile is no failure.
        options = ["--create", "--gzip", "--file=-", "--one-file-system", "--ignore-failed-read"]
        quiet = ["--warning=no-file-changed", "--warning=no-file-removed"]
        argv = ["/usr/bin/tar", *options, *quiet, f"--directory={source}", "."]
        write_output(argv, user=as_user, target=target, what=f"Cannot archive {source}", fine=(0, 1))

    def checksum(self, path: str) -> str:
        """See `ports.Files`."""
        with explained("Cannot read", path), _opened_file(path) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    def sync(self, path: str) -> None:
        """See `ports.Files`."""
        with explained("Cannot sync", path), parent_of(path, writing=False) as (fd, _):
            real = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=fd)
            try:
                sync_file_system(real)
            finally:
                os.close(real)

    def _relabel(self, path: str) -> None:
        if not self._relabel_argv:
            return
        ended = subprocess.run(
            [*self._relabel_argv, path],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_RELABEL_TIMEOUT_S,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
            check=False,
        )
        if ended.returncode:
            why = (ended.stderr or ended.stdout).strip()
            raise HostError(Problem(f"Cannot set the SELinux context of {path}", why, "Correct the host's policy."))


def _numbers(owner: Owner) -> tuple[int, int]:
    """Return the numbers to give to `chown`; (-1, -1), which changes nothing, where we are not root."""
    if os.geteuid() != 0:
        return -1, -1
    try:
        return pwd.getpwnam(owner.user).pw_uid, grp.getgrnam(owner.group).gr_gid
    except KeyError as error:
        raise HostError(
            Problem(f"Cannot give a file to {owner.user}:{owner.group}", str(error).strip("\"'"), "Create it first.")
        ) from None


@contextmanager
def _opened_file(path: str) -> Iterator[BufferedReader]:
    with parent_of(path, writing=False) as (fd, name):
        # Not blocking, since it could be a pipe without a writer.
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=fd)
    with os.fdopen(file, "rb") as stream:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        yield stream


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _open_unnamed(fd: int) -> tuple[int, str]:
    """Return a new file in the directory, and the hidden name that it has where unnamed ones cannot be had."""
    try:
        return os.open(".", _UNNAMED, 0o600, dir_fd=fd), ""
    except OSError as error:
        if error.errno not in {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT}:
            raise
    staged = f".cd-new-{secrets.token_hex(8)}"
    return os.open(staged, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600, dir_fd=fd), staged


def _give_name(file: int, staged: str, fd: int, name: str) -> None:
    if staged:
        rename_new(fd, staged, fd, name)
    else:
        os.link(f"/proc/self/fd/{file}", name, dst_dir_fd=fd, follow_symlinks=True)


def _write_all(file: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(file, view) :]
