"""Login by OpenID Connect: the authorization code flow with PKCE, state and nonce; the ID token is checked wholly."""

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwk, jwt
from joserfc.errors import JoseError

from central_dispatch.configuration import Oidc, read_configuration
from central_dispatch.provisioning.problem import HostError, Problem

#: The provider has this long for each answer, in seconds: a thread of ours waits for it.
TIMEOUT_S = 8.0
#: Between going and coming back, in seconds.
AWAY_S = 600
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA"]
_LEEWAY_S = 60
_MOST_BYTES = 1 << 20


class ProviderFault(HostError):
    """The provider cannot be used, or its answer is not to be believed."""


@dataclass(frozen=True, slots=True)
class Journey:
    """What is kept in the session while the person is at the provider."""

    state: str
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)
    until: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says it is. `subject` is the provider's own, unchanging name; `claims` are its ID token's."""

    issuer: str
    subject: str
    claims: dict[str, Any] = field(repr=False)


def provider_title(home: Path) -> str:
    """Return how the login page names the provider; empty where there is none, or its configuration is at fault."""
    try:
        oidc = read_configuration(home).login.oidc
    except HostError:
        return ""
    return oidc.title if oidc else ""


def configured(home: Path) -> Oidc:
    """Return the provider's configuration, or raise what is wrong with it."""
    oidc = read_configuration(home).login.oidc
    if oidc is None:
        raise ProviderFault(Problem("No provider is configured", mend="See [login.oidc] in dispatcher.toml."))
    return oidc


def depart(oidc: Oidc, return_address: str) -> tuple[str, Journey]:
    """Return the provider's address to send the browser to, and what to keep until it is back."""
    journey = Journey(secrets.token_urlsafe(), secrets.token_urlsafe(), secrets.token_urlsafe(48), time.time() + AWAY_S)
    with _client(oidc) as client:
        endpoint = _discover(client, oidc)["authorization_endpoint"]
    query = {
        "response_type": "code",
        "client_id": oidc.client_id,
        "redirect_uri": return_address,
        "scope": " ".join(dict.fromkeys(("openid", *oidc.scopes))),
        "state": journey.state,
        "nonce": journey.nonce,
        "code_challenge": create_s256_code_challenge(journey.verifier),
        "code_challenge_method": "S256",
    }
    return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}", journey


def arrive(oidc: Oidc, journey: Journey, answer: dict[str, str], return_address: str) -> Identity:
    """Trade the code for an ID token, check it, and return who it is; `ProviderFault` for whatever does not fit."""
    if time.time() > journey.until or not secrets.compare_digest(answer.get("state", ""), journey.state):
        raise ProviderFault(Problem("This login was not begun here, or long ago", mend="Sign in anew."))
    if answer.get("iss", oidc.issuer) != oidc.issuer:
        raise ProviderFault(Problem("The answer is of another provider", mend="Sign in anew."))
    if "code" not in answer:
        raise ProviderFault(Problem("The provider did not let you in", answer.get("error", "")[:60], "Sign in anew."))
    with _client(oidc) as client:
        found = _discover(client, oidc)
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": return_address,
            "code_verifier": journey.verifier,
        }
        token = _json(client, found["token_endpoint"], form, (oidc.client_id, oidc.client_secret))
        keys = _json(client, found["jwks_uri"])
    return _identity(oidc, journey, token, keys)


def _identity(oidc: Oidc, journey: Journey, token: dict[str, Any], keys: dict[str, Any]) -> Identity:
    try:
        decoded = jwt.decode(str(token.get("id_token", "")), jwk.KeySet.import_key_set(keys), algorithms=_ALGORITHMS)  # type: ignore[arg-type] # checked inside
        options = {
            "iss": {"essential": True, "value": oidc.issuer},
            "aud": {"essential": True, "value": oidc.client_id},
        }
        params = {"nonce": journey.nonce, "client_id": oidc.client_id, "access_token": token.get("access_token")}
        claims = CodeIDToken(decoded.claims, decoded.header, options, params)
        claims.validate(now=int(time.time()), leeway=_LEEWAY_S)
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise ProviderFault(Problem("The provider's answer is not to be believed", type(error).__name__)) from None
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:  # noqa: PLR2004 the standard's
        raise ProviderFault(Problem("The provider does not say who you are"))
    return Identity(oidc.issuer, subject, dict(decoded.claims))


def _client(oidc: Oidc) -> httpx.Client:
    import ssl  # noqa: PLC0415 only where a provider is asked

    trusted = ssl.create_default_context(cafile=str(oidc.tls)) if oidc.tls else True
    return httpx.Client(timeout=TIMEOUT_S, verify=trusted, follow_redirects=False, trust_env=False)


def _discover(client: httpx.Client, oidc: Oidc) -> dict[str, str]:
    found = _json(client, f"{oidc.issuer.rstrip('/')}/.well-known/openid-configuration")
    names = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if found.get("issuer") != oidc.issuer:
        raise ProviderFault(
            Problem("The provider names itself otherwise", mend="Write its issuer exactly.", field="login.oidc.issuer")
        )
    secure = "http" if oidc.issuer.startswith("http:") else "https:"
    if not all(isinstance(found.get(name), str) and found[name].startswith(secure) for name in names):
        raise ProviderFault(Problem("The provider's description lacks an address, or it is not over TLS"))
    return {name: found[name] for name in names}


def _json(
    client: httpx.Client, address: str, form: dict[str, str] | None = None, auth: tuple[str, str] | None = None
) -> dict[str, Any]:
    try:
        request = client.build_request("GET" if form is None else "POST", address, data=form)
        answer = client.send(request, auth=auth)
        value = answer.json() if answer.is_success and len(answer.content) <= _MOST_BYTES else None
    except (httpx.HTTPError, ValueError) as error:
        raise ProviderFault(Problem("The provider does not answer", type(error).__name__, "Try again later.")) from None
    if not isinstance(value, dict):
        raise ProviderFault(Problem("The provider does not answer as it should", f"status {answer.status_code}"))
    return value
