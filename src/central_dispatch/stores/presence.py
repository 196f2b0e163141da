"""Whether another queue worker of this machine still lives."""

from pathlib import Path

from central_dispatch.platforms import proc


def process_is_gone(pid: int) -> bool:
    """Say whether this machine surely has no living process of that number (a zombie does not live)."""
    return Path("/proc/self").exists() and proc.find(pid) is None
