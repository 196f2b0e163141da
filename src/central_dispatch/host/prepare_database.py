"""The host's provisioning account: made once by the database's administrator, with no more rights than it needs."""

import secrets
import string
from pathlib import Path

from central_dispatch.host import durable
from central_dispatch.host.resolved import Resolved, resolve
from central_dispatch.host.settings import Home, load, set_values
from central_dispatch.host.trusted_file import read_trusted
from central_dispatch.platforms.database_sql import prepare_sql, prepare_statements
from central_dispatch.platforms.mariadb import DatabaseAccess, MariaDb
from central_dispatch.provisioning.names import parse_database_user
from central_dispatch.provisioning.problem import HostError, Problem

ACCOUNT = "central_dispatch"
_LETTERS = string.ascii_letters + string.digits
_PASSWORD_LENGTH = 32


def password_path(home: Home) -> Path:
    """Return the file, root's alone, that holds the account's password."""
    return home.settings_path.parent / "database-password"


def statements(home: Home, account: str = ACCOUNT) -> str | Problem:
    """Return the SQL that `apply` would run, with the password starred, to be shown first."""
    found = _resolved(home, account)
    if isinstance(found, Problem):
        return found
    return "".join(prepare_sql(account, "shown", host) for host in found.database.account_hosts)


def apply(home: Home, account: str = ACCOUNT, root_user: str = "root", root_password: str = "") -> list[str] | Problem:
    """Make the account, keep its password, and use it from now on; return what was done. May be run again.

    Without `root_password` the server has to know us by the socket. That password is used once and kept nowhere.
    """
    found = _resolved(home, account)
    if isinstance(found, Problem):
        return found
    password = _password(password_path(home))
    if isinstance(password, Problem):
        return password
    where = found.database
    root = MariaDb(DatabaseAccess(root_user, root_password, where.socket, where.host, where.port))
    ours = MariaDb(DatabaseAccess(account, password, where.socket, where.host, where.port))
    try:
        for host in where.account_hosts:
            root.execute(prepare_statements(account, password, host), f"Cannot make the account {account}@{host}")
        version = ours.version()
    except HostError as error:
        return error.problem
    finally:
        root.close()
        ours.close()
    set_up = set_values(home, {"database_user": account, "database_password_file": str(password_path(home))})
    if isinstance(set_up, Problem):
        return set_up
    return [
        f"Made the account {account} on {version}",
        f"Its password is in {password_path(home)}, which only its owner may read",
        f"{home.settings_path} names both",
    ]


def _resolved(home: Home, account: str) -> Resolved | Problem:
    try:
        parse_database_user(account)
    except ValueError as error:
        return Problem(f"“{account}” cannot be the account's name", str(error), "Choose another one.", "database_user")
    settings = load(home)
    if isinstance(settings, Problem):
        return settings
    # The file of a former account may be gone: that is what is mended here.
    return resolve(settings.model_copy(update={"database_password_file": ""}), home)


def _password(path: Path) -> str | Problem:
    """Return the password that is kept, so that a second preparation cuts nobody off; else a new one, kept first."""
    kept = read_trusted(path, private=True)
    if isinstance(kept, Problem):
        return kept
    if kept and (text := kept.decode(errors="replace").strip()):
        return text
    made = "".join(secrets.choice(_LETTERS) for _ in range(_PASSWORD_LENGTH))
    try:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        durable.write(path, f"{made}\n".encode())
    except OSError as error:
        return Problem(f"{path} cannot be written", error.strerror or str(error), "Run the command as root.")
    return made
