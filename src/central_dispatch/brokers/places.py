"""Where the broker's sockets lie, for every process that rings or listens."""

from pathlib import Path

from central_dispatch.brokers.embedded import EmbeddedBroker


def open_broker(home: Path) -> EmbeddedBroker:
    """Return the broker below a home directory (`--home`). Opens nothing yet."""
    return EmbeddedBroker(home / "dispatcher" / "bells")
