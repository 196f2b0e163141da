"""Cuts what is too long so that no part of a secret is left at the cut."""

from collections.abc import Collection

from central_dispatch.jobs.masking import shown_output, shown_text
from central_dispatch.jobs.text import storable

#: So many times as much of a text is looked at as is kept of it: masks are shorter than what they hide.
_LOOKED_AT = 16


def shown_start(text: str, secrets: Collection[str], most: int) -> str:
    """Return at most so many characters of a text, of whatever length, these secrets masked before it is cut."""
    looked = text[: _LOOKED_AT * most]
    if len(looked) < len(text):
        # What is whole is masked first: it may look like the beginning of the same secret.
        known = shown_output(_bytes(looked), secrets)
        looked = known[: len(known) - begun_at_the_end(known, secrets)].decode("utf-8", "replace") + "…"
    return storable(shown_text(looked, secrets), most)


def begun_at_the_end(output: bytes, secrets: Collection[str]) -> int:
    """Return how many bytes at the end are a secret's beginning."""
    return max((_begun(output, _bytes(secret)) for secret in secrets), default=0)


def ended_at_the_start(output: bytes, secrets: Collection[str]) -> int:
    """Return how many bytes at the start are a secret's end; all of them where they are its middle."""
    return max((_ended(output, _bytes(secret)) for secret in secrets), default=0)


def _begun(output: bytes, secret: bytes) -> int:
    near = output[max(0, len(output) - len(secret) + 1) :]
    at = near.find(secret[:1])
    while at >= 0 and not secret.startswith(near[at:]):
        at = near.find(secret[:1], at + 1)
    return len(near) - at if at >= 0 else 0


def _ended(output: bytes, secret: bytes) -> int:
    if output in secret:
        return len(output)
    near = output[: len(secret) - 1]
    size = near.rfind(secret[-1:]) + 1
    while size and not secret.endswith(near[:size]):
        size = near.rfind(secret[-1:], 0, size - 1) + 1
    return size


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
