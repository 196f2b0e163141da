"""Hides secrets wherever a job is shown: in payloads, results, errors, captured output, dead letters' copies.

A value is secret by the name of its key, or because its kind declares that key (`Kind.secret_fields`). What is
hidden stays hidden whole, with all below it. The row keeps it, as the handler needs it.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from central_dispatch.jobs.kinds import KINDS, Kind, flat

MASK = "••••••"
#: Parts of a key's name, written small and without separators, that make its value secret.
_PARTS = (
    "password", "passwd", "passphrase", "passwort", "pwd", "secret", "token", "apikey", "accesskey", "privatekey",
    "credential", "authorization", "cookie", "bearer", "signature",
)  # fmt: skip
#: Whole names: as parts they would hide innocent ones (`author`, `keyword`, `opinion`).
_WHOLE = frozenset({"auth", "key", "pin", "pass", "tan", "sid", "sessionid", "jwt", "dsn"})
#: A part that begins or ends a word of the name: inside of one it would hide `rootPath` and `footprint`.
_ONE_TIME = re.compile(r"(?:^|[^a-z])otp|otp(?:$|[^a-z])|Otp|(?<![A-Z])OTP|OTP(?![A-Z])")
#: A shorter secret is not looked for in texts: it would hide half of them.
_SHORTEST = 6
_USER_INFO = re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s/:@?#]*:)[^\s/?#]+(?=@)", re.IGNORECASE)
# What stands alone before the host is a token here; elsewhere (ssh, ftp) it is a name.
_LONE_USER = re.compile(r"(?P<before>\bhttps?://)[^\s/:?#]+(?=:?@)", re.IGNORECASE)
_QUERY = re.compile(r"(?P<before>[?&](?P<name>[\w.%-]+)=)(?P<value>[^&\s\"'<>#]+)")
# In small letters both are words of every day, unless the header's name stands before them.
_HEADER = re.compile(
    r"(?P<before>\b(?:Bearer|Basic)\s+|(?i:\bauthorization\W{1,4}(?:bearer|basic|digest|token)\s+))[\w.~+/=-]{6,}"
)


def shown_payload(queue: str, payload: Mapping[str, Any], kinds: Mapping[str, Kind] = KINDS) -> dict[str, Any]:
    """Return a payload as it may be shown: the same shape, secrets hidden."""
    return {key: _shown(key, value, _declared(queue, kinds)) for key, value in payload.items()}


def shown_value(value: Any, secrets: Collection[str] = ()) -> Any:  # noqa: ANN401 JSON
    """Return JSON of no known kind (a result, say) as it may be shown: without these secrets, wherever they are."""
    return _shown("", value, frozenset(), secrets)


def shown_text(text: str, secrets: Collection[str] = ()) -> str:
    """Return a text without these secrets, and without those that addresses and headers carry."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, MASK)
    text = _USER_INFO.sub(rf"\g<before>{MASK}", text)
    text = _LONE_USER.sub(rf"\g<before>{MASK}", text)
    text = _HEADER.sub(rf"\g<before>{MASK}", text)
    return _QUERY.sub(lambda found: found["before"] + (MASK if is_secret(found["name"]) else found["value"]), text)


def shown_output(output: bytes, secrets: Collection[str]) -> bytes:
    """Return what a job printed without these secrets."""
    for secret in sorted(secrets, key=len, reverse=True):
        output = output.replace(secret.encode("utf-8", "surrogatepass"), MASK.encode())
    return output


def secrets_of(queue: str, payload: Mapping[str, Any], kinds: Mapping[str, Kind] = KINDS) -> frozenset[str]:
    """Return the secret texts in a payload that are long enough to be looked for in other texts."""
    declared = _declared(queue, kinds)
    found = (text for key, value in payload.items() for text in _secrets(key, value, declared))
    return frozenset(text for text in found if len(text) >= _SHORTEST)


def is_secret(key: str, declared: Collection[str] = ()) -> bool:
    """Say whether a key of that name holds a secret. `declared`: further names, as `flat` writes them."""
    name = flat(key)
    return (
        name in declared or name in _WHOLE or any(part in name for part in _PARTS) or _ONE_TIME.search(key) is not None
    )


def _declared(queue: str, kinds: Mapping[str, Kind]) -> frozenset[str]:
    kind = kinds.get(queue)
    return frozenset(map(flat, kind.secret_fields)) if kind else frozenset()


def _shown(key: str, value: Any, declared: frozenset[str], secrets: Collection[str] = ()) -> Any:  # noqa: ANN401 JSON
    if key and is_secret(key, declared):
        # Whether there is one at all may be seen.
        return value if value is None or isinstance(value, bool) or value in ("", [], {}) else MASK
    match value:
        case Mapping():
            return {name: _shown(str(name), part, declared, secrets) for name, part in value.items()}
        case list() | tuple():
            return [_shown("", part, declared, secrets) for part in value]
        case str():
            return shown_text(value, secrets)
        case _:
            return value


def _secrets(key: str, value: Any, declared: frozenset[str], *, below: bool = False) -> Iterator[str]:  # noqa: ANN401 JSON
    below = below or (bool(key) and is_secret(key, declared))
    match value:
        case Mapping():
            for name, part in value.items():
                yield from _secrets(str(name), part, declared, below=below)
        case list() | tuple():
            for part in value:
                yield from _secrets("", part, declared, below=below)
        case str() if below:
            yield value
        case int() | float() if below and not isinstance(value, bool):
            yield str(value)
