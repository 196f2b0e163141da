"""Queue workers of these tests."""

from queue_workers.fixtures import rig

__all__ = ["rig"]
