"""Unix users and groups, by the machine's own `useradd` and its kin."""

import fcntl
import grp
import os
import pwd
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from central_dispatch.platforms import commands, proc
from central_dispatch.provisioning.ports import User
from central_dispatch.provisioning.problem import HostError, Occupied, Problem

FIRST_ID = 20000
LAST_ID = 59999
NO_LOGIN = "/usr/sbin/nologin"
_NAME_TAKEN = 9  # useradd's exit code
_LOCKS = ("passwd", "shadow", "group", "gshadow", "subuid", "subgid")
# The tools themselves wait up to 15 s for a lock; one that outlives that has no living owner.
_LOCK_AGE_S = 20.0


class LinuxAccounts:
    """Adapter of `ports.Accounts` for root.

    `counter` is the path of the file that remembers the highest number handed out: uids are never reused,
    since files of a deleted user may survive in a backup. `etc` is where the lock files of the tables lie.
    """

    separate = True

    def __init__(self, counter: str, first: int = FIRST_ID, last: int = LAST_ID, etc: str = "/etc") -> None:
        self._counter = counter
        self._first = first
        self._last = last
        self._etc = Path(etc)

    def find(self, name: str) -> User | None:
        """See `ports.Accounts`."""
        return _find(name)

    def find_group(self, name: str) -> tuple[int, tuple[str, ...]] | None:
        """See `ports.Accounts`."""
        return _find_group(name)

    def next_id(self) -> int:
        """See `ports.Accounts`. The number counts as used from now on, whatever becomes of it."""
        taken = {user.pw_uid for user in pwd.getpwall()} | {group.gr_gid for group in grp.getgrall()}
        with _locked(self._counter) as fd:
            said = os.pread(fd, 32, 0).strip()
            number = (int(said) if said.isdigit() else self._first - 1) + 1
            while number in taken:
                number += 1
            # A directory service answers for a number that it does not list.
            while _is_taken(number):
                number += 1
            if number > self._last:
                raise HostError(
                    Problem(
                        "No user number is left for an instance",
                        f"all of {self._first} to {self._last} were handed out",
                        "Widen the range in the host's configuration.",
                    )
                )
            os.pwrite(fd, f"{number}\n".encode(), 0)
            os.fsync(fd)
        return number

    def create(self, user: User) -> None:
        """See `ports.Accounts`. The user's line comes first and bears the comment; the group follows."""
        gid = str(user.gid)
        # The system range is named as the wanted number, so that the group gets it: one call makes both.
        limits = [f"SYS_UID_MAX={user.uid}", f"SYS_GID_MIN={gid}", f"SYS_GID_MAX={gid}"]
        keys = [word for limit in limits for word in ("-K", limit)]
        what = ["-u", str(user.uid), "-c", user.comment, "-d", user.home, "-M", "-s", NO_LOGIN]
        ended = self._run(["useradd", "-r", "-U", *keys, *what, user.name])
        if ended.code == _NAME_TAKEN:
            raise Occupied(Problem(f"The user {user.name} cannot be created", ended.said, "Choose another name."))
        _demand(ended, f"Cannot create the user {user.name}")
        found = _find(user.name)
        if not found or (found.uid, found.gid) != (user.uid, user.gid):
            self.delete(user.name)
            raise HostError(
                Problem(f"The user {user.name} did not get the number {user.uid}", str(found), "Try again.")
            )

    def join(self, user: str, group: str) -> None:
        """See `ports.Accounts`."""
        found = _find_group(group)
        if found and user in found[1]:
            return
        _demand(self._run(["gpasswd", "-a", user, group]), f"Cannot make {user} a member of {group}")

    def describe(self, name: str, comment: str) -> None:
        """See `ports.Accounts`."""
        found = _find(name)
        if found and found.comment == comment:
            return
        _demand(self._run(["usermod", "-c", comment, name]), f"Cannot change the comment of {name}")

    def end_processes(self, name: str) -> None:
        """See `ports.Accounts`. Two seconds of grace."""
        found = _find(name)
        if found is None:
            return
        if found.uid == 0:
            raise HostError(Problem(f"Refused to end the processes of {name}", "it is root", ""))
        left = proc.end(lambda: [one for one in proc.processes() if one.uid == found.uid])
        if left:
            numbers = ", ".join(str(one.pid) for one in left)
            raise HostError(Problem(f"Processes of {name} do not end", f"pid {numbers}", "Look at what they wait for."))

    def delete(self, name: str) -> None:
        """See `ports.Accounts`. What only a crash leaves (a user without its group, or the reverse) goes, too."""
        if _find(name):
            _demand(self._run(["userdel", name]), f"Cannot delete the user {name}")
        if _find_group(name):
            _demand(self._run(["groupdel", name]), f"Cannot delete the group {name}")

    def _run(self, argv: list[str]) -> commands.Ended:
        ended = commands.run(argv, changing=True)
        if ended.code and "lock" in ended.err and self._free_stale_locks():
            ended = commands.run(argv, changing=True)
        return ended

    def _free_stale_locks(self) -> bool:
        """Remove the lock files that a power cut left; the tools do so only where they can tell."""
        freed = False
        for name in _LOCKS:
            lock = self._etc / f"{name}.lock"
            try:
                age_s = time.time() - lock.stat().st_mtime
                holder = lock.read_text(encoding="ascii", errors="replace").strip("\0\n ")
            except OSError:
                continue
            if age_s > _LOCK_AGE_S and not _is_account_tool(holder):
                lock.unlink(missing_ok=True)
                freed = True
        return freed


class SingleUserAccounts:
    """Adapter of `ports.Accounts` where we are not root: every instance runs as ourselves."""

    separate = False

    def find(self, name: str) -> User | None:
        """See `ports.Accounts`."""
        return _find(name)

    def find_group(self, name: str) -> tuple[int, tuple[str, ...]] | None:
        """See `ports.Accounts`."""
        return _find_group(name)

    def next_id(self) -> int:
        """Return our own number: there is no other."""
        return os.getuid()

    def create(self, user: User) -> None:
        """Refuse, since only root can."""
        raise _needs_root(f"create the user {user.name}")

    def join(self, user: str, group: str) -> None:
        """Refuse, since only root can."""
        raise _needs_root(f"make {user} a member of {group}")

    def describe(self, name: str, comment: str) -> None:
        """Refuse, since only root can."""
        raise _needs_root(f"change the comment of {name} to “{comment}”")

    def end_processes(self, name: str) -> None:
        """Leave all alone: the processes of an instance cannot be told from our own by their user."""

    def delete(self, name: str) -> None:
        """Leave all alone: we never created a user."""


def _find(name: str) -> User | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return User(found.pw_name, found.pw_uid, found.pw_gid, found.pw_gecos, found.pw_dir)


def _find_group(name: str) -> tuple[int, tuple[str, ...]] | None:
    try:
        found = grp.getgrnam(name)
    except KeyError:
        return None
    return found.gr_gid, tuple(found.gr_mem)


def _is_taken(number: int) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwuid(number))
    with suppress(KeyError):
        return bool(grp.getgrgid(number))
    return False


def _needs_root(what: str) -> HostError:
    return HostError(Problem(f"Cannot {what}", "the host worker does not run as root", "Run it as root."))


def _demand(ended: commands.Ended, what: str) -> None:
    if ended.code:
        raise HostError(Problem(what, ended.said, "Correct what it says, then try again."))


def _is_account_tool(holder: str) -> bool:
    """Say whether a lock file's process is one of those that take such locks."""
    if not holder.isdigit() or proc.find(int(holder)) is None:
        return False
    try:
        name = Path(f"/proc/{holder}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return False
    tools = ("user", "group", "passwd", "gpasswd", "chfn", "chsh", "chage", "vipw", "vigr", "newusers", "adduser")
    return any(tool in name for tool in tools)


@contextmanager
def _locked(path: str) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise HostError(Problem(f"Cannot open {path}", error.strerror or "", "Correct the state directory.")) from None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)
