"""Small files of the host worker itself, written so that a power cut leaves the old content or the new."""

import os
import secrets
from pathlib import Path


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_all(fd: int, content: bytes) -> None:
    """Write all of `content`; raises `OSError` when the file system takes no more."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]


def write(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace `path` in one go; durable on return. A link that lies there is replaced, not followed."""
    staged = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        try:
            os.fchmod(fd, mode)  # whatever the umask says
            write_all(fd, content)
            os.fsync(fd)
        finally:
            os.close(fd)
        staged.replace(path)
    except OSError:
        staged.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def read(path: Path, limit: int = 1 << 20) -> bytes:
    """Return a file's content, at most `limit` bytes; raises `OSError` for a link."""
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as file:
        return file.read(limit)


def make_private(directory: Path) -> None:
    """Make a directory that only we can enter, with its parents."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
