"""Where the dispatcher keeps its own files: database, secret key, TLS. All below one private directory."""

import os
import secrets
from pathlib import Path


def home_directory() -> Path:
    """Return the home directory: `CENTRAL_DISPATCH_HOME`, else the machine's place for root or the user's own."""
    if given := os.environ.get("CENTRAL_DISPATCH_HOME"):
        return Path(given).absolute()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/central-dispatch")
    return Path.home() / ".local" / "share" / "central-dispatch"


def dispatcher_directory() -> Path:
    """Return the dispatcher's part of the home directory."""
    return home_directory() / "dispatcher"


def write_private(path: Path, content: bytes) -> None:
    """Create a file that only its owner reads, whole or not at all; an existing one is left as it is.

    Follows no link at `path`: the name is made by a hard link of a finished file, which fails if it is taken.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return  # another process of a first start was quicker: its file counts
    finally:
        draft.unlink()


def secret_key_path() -> Path:
    """Return where the key is that signs sessions and forms."""
    return dispatcher_directory() / "secret-key"


def make_secret_key() -> None:
    """Make the secret key at the first start."""
    if not secret_key_path().exists():
        write_private(secret_key_path(), secrets.token_urlsafe(64).encode())


def read_secret_key() -> str:
    """Return the secret key; before the first start a passing one, which signs nothing that outlives the process."""
    try:
        return secret_key_path().read_text(encoding="ascii")
    except FileNotFoundError:
        return secrets.token_urlsafe(64)
