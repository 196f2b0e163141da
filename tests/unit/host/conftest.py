"""Fixtures of the host worker's tests."""

from servers.host_world import site

__all__ = ["site"]
