"""Central Dispatch: managed instances and the background work of a media library, from one portal."""

__version__ = "0.1.0"
