"""The manifests that ship: one directory a kind of portal, each a `portal.toml` with its templates and scripts.

A host's administrator copies one into a source's directory and puts the releases beside it; only `sample`
brings a release of its own, for the demo.
"""

from pathlib import Path

KINDS = ("curator", "php", "sample", "static", "wordpress")


def directory(kind: str) -> Path:
    """Return the directory of a shipped manifest; raises `KeyError` for a kind that does not ship."""
    if kind not in KINDS:
        raise KeyError(kind)
    return Path(__file__).parent / kind
