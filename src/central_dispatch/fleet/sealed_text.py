"""Secrets that must be read again (a mail server's password, a second factor): in the database only sealed.

The key is the dispatcher's secret key, a file of its own: a copy of the database alone opens nothing.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from central_dispatch.fleet.home import read_secret_key


def seal(text: str, purpose: str) -> str:
    """Return the text sealed for one purpose; sealed for another one it does not open."""
    return _box(purpose).encrypt(text.encode()).decode()


def unseal(sealed: str, purpose: str) -> str | None:
    """Return the text; None where it was sealed with another secret key or for another purpose, or is damaged."""
    try:
        return _box(purpose).decrypt(sealed.encode()).decode()
    except InvalidToken:
        return None


def _box(purpose: str) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=f"central-dispatch {purpose}".encode())
    return Fernet(base64.urlsafe_b64encode(derived.derive(read_secret_key().encode())))
