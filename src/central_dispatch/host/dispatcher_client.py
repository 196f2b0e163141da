"""Calls to the dispatcher: JSON of `provisioning.protocol` over TLS, to the one certificate that the token pinned."""

import hmac
import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import (
    Claim,
    Claimed,
    Enrol,
    Enrolled,
    Heartbeat,
    Report,
    Reported,
    Session,
    SessionStart,
)
from central_dispatch.provisioning.trust import certificate_pin

Model = TypeVar("Model", bound=BaseModel)
_TIMEOUT_S = 20.0
_ANSWER_LIMIT = 16 << 20
_DEFAULT_PORT = 443


class Away(HostError):
    """The dispatcher does not answer, or not now: try again later."""


class Refused(HostError):
    """The dispatcher answered no; the same call will be refused again. `status` is the HTTP status."""

    def __init__(self, problem: Problem, status: int = 0) -> None:
        super().__init__(problem)
        self.status = status


class Superseded(HostError):
    """A newer session replaced this one: a second host worker uses this enrolment. Stop."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Events are missing at the dispatcher: report from the one after `through`."""

    through: int


class DispatcherApi(Protocol):
    """What the host worker calls. Each call may raise `Away`, `Refused` or `Superseded`."""

    def session(self, message: SessionStart) -> Session:
        """Start a session."""

    def heartbeat(self, message: Heartbeat) -> Session:
        """Say that the host lives."""

    def claim(self, message: Claim) -> Claimed:
        """Wait for orders and wishes."""

    def report(self, run: str, message: Report) -> Reported | Gap:
        """Hand in what happened in a run."""


class _PinnedConnection(http.client.HTTPSConnection):
    """A connection that sends nothing before the peer has shown the pinned key."""

    def __init__(self, host: str, port: int, pin: str, timeout_s: float) -> None:
        # The pin stands for the chain and the name: the dispatcher's certificate is its own issuer.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        super().__init__(host, port, timeout=timeout_s, context=context)
        self._pin = pin

    def connect(self) -> None:
        """Connect, and look at the certificate."""
        super().connect()
        shown = self.sock.getpeercert(binary_form=True)
        if shown is None or not hmac.compare_digest(certificate_pin(shown).encode(), self._pin.encode()):
            self.close()
            raise Refused(
                Problem(
                    "The dispatcher showed another certificate than the one this host was enrolled with",
                    "somebody may stand in between, or the dispatcher was set up anew",
                    "If the dispatcher has a new key, enrol this host again with a new token.",
                )
            )


class DispatcherClient:
    """Adapter of `DispatcherApi`. Each call has a connection of its own, so that threads may share a client."""

    def __init__(self, url: str, pin: str, credential: str = "") -> None:
        """`url` is the dispatcher's address, such as https://dispatch.example.com:8700."""
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _DEFAULT_PORT
        self._prefix = parts.path.rstrip("/") + "/host/v1"
        self._pin = pin
        self._credential = credential

    def enrol(self, message: Enrol) -> Enrolled:
        """Trade a token for a credential."""
        return self._call("enroll", message, Enrolled)

    def session(self, message: SessionStart) -> Session:
        """See `DispatcherApi`."""
        return self._call("session", message, Session)

    def heartbeat(self, message: Heartbeat) -> Session:
        """See `DispatcherApi`."""
        return self._call("heartbeat", message, Session)

    def claim(self, message: Claim) -> Claimed:
        """See `DispatcherApi`."""
        return self._call("claim", message, Claimed, message.wait_s + _TIMEOUT_S)

    def report(self, run: str, message: Report) -> Reported | Gap:
        """See `DispatcherApi`."""
        status, body = self._post(f"runs/{run}/events", message, _TIMEOUT_S)
        if status == http.client.CONFLICT and isinstance(through := _fields(body).get("through"), int):
            return Gap(through)
        return _read(status, body, Reported)

    def _call(self, path: str, message: BaseModel, answer: type[Model], timeout_s: float = _TIMEOUT_S) -> Model:
        status, body = self._post(path, message, timeout_s)
        return _read(status, body, answer)

    def _post(self, path: str, message: BaseModel, timeout_s: float) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self._credential:
            headers["Authorization"] = f"Bearer {self._credential}"
        connection = _PinnedConnection(self._host, self._port, self._pin, timeout_s)
        try:
            connection.request("POST", f"{self._prefix}/{path}", message.model_dump_json().encode(), headers)
            response = connection.getresponse()
            return response.status, response.read(_ANSWER_LIMIT)
        except (OSError, http.client.HTTPException, ValueError) as error:
            where = f"{self._host}:{self._port}"
            mend = "Look whether it runs and whether this host may reach it; the host worker goes on trying."
            raise Away(Problem(f"The dispatcher at {where} does not answer", str(error), mend)) from error
        finally:
            connection.close()


def _fields(body: bytes) -> dict[str, object]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read(status: int, body: bytes, answer: type[Model]) -> Model:
    if status == http.client.OK:
        try:
            return answer.model_validate_json(body)
        except ValidationError as error:
            why = str(error.errors(include_url=False)[0]["msg"])
            mend = "Are dispatcher and host worker more than one version apart? Update the older one."
            raise Away(Problem("The dispatcher's answer cannot be read", why, mend)) from error
    said = _fields(body)
    title = str(said.get("title") or f"The dispatcher answered with status {status}")
    if status == http.client.CONFLICT and "session" in said:
        mend = (
            "Find out which machine is the copy, stop its host worker, accept the host in the portal, then start this."
        )
        raise Superseded(Problem(title, str(said.get("alert", "")), mend))
    if status in _LATER or status >= http.client.INTERNAL_SERVER_ERROR:
        raise Away(Problem(title, str(said.get("detail", "")), "The host worker goes on trying."))
    raise Refused(Problem(title, str(said.get("detail", "")), _MENDS.get(status, "")), status)


_LATER = frozenset({http.client.REQUEST_TIMEOUT, http.client.TOO_MANY_REQUESTS})
_MENDS = {
    http.client.UNAUTHORIZED: "Was this host revoked? Make a new token in the portal and enrol again with --again.",
    http.client.FORBIDDEN: "This run is another host's; the refusal is on the dispatcher's record.",
    http.client.NOT_FOUND: "The dispatcher does not know it; was it restored from an older copy?",
    http.client.GONE: "Make a new token in the portal: each works once, for a day.",
    http.client.REQUEST_ENTITY_TOO_LARGE: "Less is sent at once.",
}
