"""Enrolment: a one-time token in, this host's own credential out."""

import base64
from pathlib import Path
from urllib.parse import urlsplit

from central_dispatch import __version__
from central_dispatch.host import durable, identity
from central_dispatch.host.dispatcher_client import DispatcherClient
from central_dispatch.host.identity import Identity
from central_dispatch.provisioning.problem import HostError, Problem
from central_dispatch.provisioning.protocol import Enrol
from central_dispatch.provisioning.trust import EnrolmentToken, fingerprint


def enrol(state: Path, url: str, token_text: str, *, again: bool = False) -> Identity | Problem:
    """Enrol this host with the dispatcher at `url`; `token_text` was read from standard input.

    The caller shows the identity's fingerprint, which the portal shows too. `again` replaces an identity; the
    sealing key stays, so that what was sealed before can still be opened if the worker is the same.
    """
    checked = _checked(state, url, token_text, again=again)
    if isinstance(checked, Problem):
        return checked
    try:
        durable.make_private(state)
        public = identity.make_sealing_key(state).public_key().public_bytes_raw()
        message = Enrol(
            token=checked.to_text(),
            machine_id=identity.machine_id(state),
            sealing_key=base64.b64encode(public),
            worker_version=__version__,
        )
        answer = DispatcherClient(url, checked.pin).enrol(message)
        if answer.fingerprint != fingerprint(public):
            what = "The dispatcher holds another sealing key than this host's"
            return Problem(what, f"it says {answer.fingerprint}", "Enrol again with a new token.")
        made = Identity(url.rstrip("/"), checked.pin, answer.worker, answer.name, answer.fingerprint, answer.credential)
        # Before the identity: a host that remembers the sessions of its former enrolment would look rewound.
        identity.save_session(state, 0)
        identity.save(state, made)
    except HostError as error:
        return error.problem
    except OSError as error:
        return Problem(f"{state} cannot be written", error.strerror or str(error), "Run the command as root.")
    return made


def _checked(state: Path, url: str, token_text: str, *, again: bool) -> EnrolmentToken | Problem:
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment:
        return Problem(
            f"“{url}” is not a dispatcher's address", "", "Write it like https://dispatch.example.com:8700.", "url"
        )
    token = EnrolmentToken.from_text(token_text)
    if token is None:
        mend = "Paste the whole line that the portal shows: cd1.… with two dots in it."
        return Problem("That is not an enrolment token", "", mend, "token")
    known = identity.load(state)
    if known is not None and not again:
        name = known.name if isinstance(known, Identity) else "unknown"
        mend = "To replace that enrolment, add --again; the old credential stops working."
        return Problem(f"This host is enrolled already, as “{name}”", "", mend)
    return token
