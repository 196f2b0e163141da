"""One request to this machine's own web server over TLS, as a visitor of a hostname would send it."""

import hashlib
import http.client
import socket
import ssl
import time

from central_dispatch.provisioning.ports import Answer
from central_dispatch.provisioning.problem import Problem, Unavailable

BODY_LIMIT = 1 << 20
_AGENT = "central-dispatch health check"


def ask(hostname: str, path: str, *, port: int, timeout_s: float) -> Answer:
    """GET `path` from 127.0.0.1:`port` with that hostname in SNI and Host; follows no redirect.

    The certificate is not verified: the caller compares its fingerprint with the one it installed. The
    body ends at 1 MiB. `Unavailable` if there is no answer within `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as plain,
            _context().wrap_socket(plain, server_hostname=hostname) as secured,
        ):
            leaf = secured.getpeercert(binary_form=True) or b""
            connection = http.client.HTTPConnection(hostname, timeout=timeout_s)
            connection.sock = secured
            connection.request("GET", path, headers=_headers(hostname, port))
            secured.settimeout(_left(deadline))
            response = connection.getresponse()
            body = _body(response, secured, deadline)
    except (OSError, http.client.HTTPException) as error:
        raise _silent(hostname, port, str(error) or type(error).__name__) from error
    return Answer(
        status=response.status,
        body=body,
        certificate=hashlib.sha256(leaf).hexdigest(),
        location=response.headers.get("Location", ""),
    )


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _headers(hostname: str, port: int) -> dict[str, str]:
    host = hostname if port == http.client.HTTPS_PORT else f"{hostname}:{port}"
    return {"Host": host, "User-Agent": _AGENT, "Accept": "*/*", "Connection": "close"}


def _body(response: http.client.HTTPResponse, secured: ssl.SSLSocket, deadline: float) -> bytes:
    body = bytearray()
    while len(body) < BODY_LIMIT:
        # A server that sends a byte now and then must not hold a run for ever.
        secured.settimeout(_left(deadline))
        block = response.read1(min(65536, BODY_LIMIT - len(body)))
        if not block:
            break
        body += block
    return bytes(body)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("it took too long")
    return left


def _silent(hostname: str, port: int, why: str) -> Unavailable:
    return Unavailable(
        Problem(
            f"The web server did not answer for {hostname} on port {port}",
            why,
            "Look whether it runs and listens there, and into its error log.",
        )
    )
