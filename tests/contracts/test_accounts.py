"""The contract of `ports.Accounts`, with real users of this machine; and that of a host without root."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from central_dispatch.platforms import proc
from central_dispatch.platforms.accounts import LinuxAccounts, SingleUserAccounts
from central_dispatch.provisioning.ports import User
from central_dispatch.provisioning.problem import HostError, Occupied
from servers.users import Users

# Waits for its end with deaf ears, in a session of its own, and so does its child.
STUBBORN = (
    "import os,signal,time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "os.fork(); os.setsid() if os.getpgrp() != os.getpid() else None\n"
    "print('ready', flush=True)\n"
    "time.sleep(600)\n"
)


def test_a_user_is_made_with_its_group_number_comment_and_no_way_in(users: Users) -> None:
    user = users.make("central-dispatch instance=a run=b")
    assert users.accounts.find(user.name) == user
    assert users.accounts.find_group(user.name) == (user.gid, ())
    entry = pwd.getpwnam(user.name)
    assert entry.pw_shell == "/usr/sbin/nologin"
    shadow = next(line for line in Path("/etc/shadow").read_text().splitlines() if line.startswith(f"{user.name}:"))
    assert shadow.split(":")[1].startswith("!")


def test_a_taken_name_is_left_as_it_is(users: Users) -> None:
    user = users.make("first")
    number = users.accounts.next_id()
    with pytest.raises(Occupied):
        users.accounts.create(User(user.name, number, number, "second", "/nonexistent"))
    assert users.accounts.find(user.name) == user


def test_a_foreign_group_of_the_name_is_left_as_it_is(users: Users) -> None:
    name, number = users.name(), users.accounts.next_id()
    subprocess.run(["/usr/sbin/groupadd", "-g", str(number), name], check=True)
    with pytest.raises(Occupied):
        users.accounts.create(User(name, number + 1, number + 1, "", "/nonexistent"))
    assert users.accounts.find(name) is None
    assert users.accounts.find_group(name) == (number, ())


def test_numbers_are_never_handed_out_twice_even_after_their_user_is_gone(users: Users, passable: Path) -> None:
    user = users.make()
    users.accounts.delete(user.name)
    assert LinuxAccounts(str(passable / "last-id")).next_id() > user.uid


def test_numbers_lie_above_every_user_and_group_that_is_there(users: Users, passable: Path) -> None:
    user = users.make()
    assert LinuxAccounts(str(passable / "another")).next_id() > user.uid


def test_a_used_up_range_is_said_so(users: Users, passable: Path) -> None:
    accounts = LinuxAccounts(str(passable / "another"), first=58_998, last=58_999)
    assert {accounts.next_id(), accounts.next_id()} == {58_998, 58_999}
    with pytest.raises(HostError, match="No user number is left"):
        accounts.next_id()
    assert users.accounts.separate


def test_joining_and_describing_can_be_repeated(users: Users) -> None:
    user, other = users.make(), users.make()
    for _ in range(2):
        users.accounts.join(other.name, user.name)
        users.accounts.describe(user.name, "sealed")
    assert users.accounts.find_group(user.name) == (user.gid, (other.name,))
    found = users.accounts.find(user.name)
    assert found
    assert found.comment == "sealed"


def test_every_process_of_a_user_is_ended_also_one_that_does_not_listen(users: Users) -> None:
    user, neighbour = users.make(), users.make()
    kept = subprocess.Popen(["/usr/bin/sleep", "600"], user=neighbour.uid)
    child = subprocess.Popen(["/usr/bin/python3", "-c", STUBBORN], user=user.uid, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert [child.stdout.readline(), child.stdout.readline()] == ["ready\n", "ready\n"]
    assert len([one for one in proc.processes() if one.uid == user.uid]) == 2
    users.accounts.end_processes(user.name)
    assert [one for one in proc.processes() if one.uid == user.uid] == []
    assert kept.poll() is None
    kept.kill()
    kept.wait()
    child.wait()
    child.stdout.close()


def test_ending_processes_refuses_root(users: Users) -> None:
    with pytest.raises(HostError, match="it is root"):
        users.accounts.end_processes("root")
    users.accounts.end_processes("cdt-nobody-at-all")


def test_deleting_takes_user_and_group_also_with_members(users: Users) -> None:
    user, other = users.make(), users.make()
    users.accounts.join(other.name, user.name)
    for _ in range(2):
        users.accounts.delete(user.name)
        assert users.accounts.find(user.name) is None
        assert users.accounts.find_group(user.name) is None


def test_deleting_takes_what_a_crash_left_of_the_two(users: Users) -> None:
    alone, group = users.name(), users.name()
    number = users.accounts.next_id()
    subprocess.run(["/usr/sbin/useradd", "-u", str(number), "-g", "nogroup", "-M", alone], check=True)
    subprocess.run(["/usr/sbin/groupadd", "-g", str(users.accounts.next_id()), group], check=True)
    for name in (alone, group):
        users.accounts.delete(name)
        assert (users.accounts.find(name), users.accounts.find_group(name)) == (None, None)


def test_a_stale_lock_is_told_from_one_that_is_held(passable: Path) -> None:
    accounts = LinuxAccounts(str(passable / "last-id"), etc=str(passable))
    stale, fresh, held = passable / "passwd.lock", passable / "group.lock", passable / "shadow.lock"
    stale.write_text("1")
    fresh.write_text("1")
    os.utime(stale, (1, 1))
    tool = passable / "useradd"
    tool.symlink_to("/bin/sleep")
    holder = subprocess.Popen([str(tool), "600"])
    held.write_text(str(holder.pid))
    os.utime(held, (1, 1))
    try:
        while "useradd" not in Path(f"/proc/{holder.pid}/comm").read_text():
            pass  # between fork and exec it bears our own name
        assert accounts._free_stale_locks()
        assert not stale.exists()
        assert fresh.exists()
        assert held.exists()
        assert not accounts._free_stale_locks()
    finally:
        holder.kill()
        holder.wait()


def test_without_root_there_are_no_users_of_their_own() -> None:
    accounts = SingleUserAccounts()
    assert not accounts.separate
    assert accounts.next_id() == os.getuid()
    accounts.end_processes(pwd.getpwuid(os.getuid()).pw_name)
    accounts.delete("anyone")
    for act in (
        lambda: accounts.create(User("x", 1, 1, "", "/")),
        lambda: accounts.join("x", "y"),
        lambda: accounts.describe("x", "y"),
    ):
        with pytest.raises(HostError, match="does not run as root"):
            act()
