"""Random secrets that are shown once, and what is kept of them."""

import hashlib
import secrets


def new_secret() -> str:
    """Return 256 random bits as text."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is stored. Plain SHA-256: the secrets are random, not chosen, so stretching adds nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()
