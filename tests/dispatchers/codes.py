"""The codes of an authenticator app."""

import base64
import hashlib
import hmac
import struct
from datetime import datetime, timedelta

from django.utils import timezone


def code_of(secret: str, after: timedelta = timedelta()) -> tuple[str, datetime]:
    """Return the code of a moment, now or later, with the moment: RFC 6238 written out anew."""
    now = timezone.now() + after
    key = base64.b32decode(secret)
    mac = hmac.new(key, struct.pack(">Q", int(now.timestamp()) // 30), hashlib.sha1).digest()
    place = mac[-1] & 15
    number = struct.unpack(">I", mac[place : place + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}", now
