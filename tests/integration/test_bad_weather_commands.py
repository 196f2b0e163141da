"""A portal's install command that misbehaves: it fails, hangs, hides, floods, or prints what it was told in trust."""

import json
import os
import pwd
import time
from collections.abc import Iterator

import pytest

from central_dispatch.host.journal_file import OUTPUT_CUT, read
from central_dispatch.platforms import proc
from central_dispatch.platforms.sandbox import Sandbox
from central_dispatch.provisioning.names import unix_user_for
from central_dispatch.provisioning.saga import Saga
from central_dispatch.provisioning.steps.database_user import PASSWORD
from servers.fingerprint import difference
from servers.host_rig import HostRig
from servers.own_lines import own_lines
from servers.weather import fresh, journal_of, make_source, watched

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: real Unix users")


@pytest.fixture(scope="module")
def rig(sandbox: Sandbox) -> HostRig:
    return HostRig(sandbox)


@pytest.fixture(autouse=True)
def _leaves_nothing(rig: HostRig) -> Iterator[None]:
    before = own_lines(rig.sandbox)
    yield
    assert difference(before, own_lines(rig.sandbox)) == []


def backed_out(rig: HostRig, script: str, timeout_s: float = 30) -> Saga:
    """Deploy a source with that install command; it must be backed out for it."""
    saga = rig.begin("deploy", fresh(rig, make_source(rig.sandbox, "weather", script, timeout_s)))
    assert saga.carry_on() == "backed_out"
    assert saga.state.plan.steps[saga.state.failed_step].name == "install"
    return saga


def test_one_that_fails_is_named_with_its_exit_code_and_its_last_line(rig: HostRig) -> None:
    saga = backed_out(rig, "echo one; echo 'the disk of the moon is missing' >&2; exit 3")
    said = str(saga.state.backing_out)
    assert "exit code 3; last line: the disk of the moon is missing" in said
    assert "install.sh" in said
    # A retry works straight away.
    again = fresh(rig, make_source(rig.sandbox, "weather", "true"), id=saga.state.plan.instance)
    assert rig.deploy(again) == "committed"
    assert rig.delete(again) == "committed"


HIDING = {
    "waits": "sleep 300",
    "ignores the signal to end": "trap '' TERM HUP INT; while :; do sleep 1; done",
    "left its session": "setsid sleep 300 </dev/null >/dev/null 2>&1 & wait",
    "detached twice": "setsid sh -c 'trap \"\" TERM; (sleep 300 & sleep 299 &) & exit 0' >/dev/null 2>&1; sleep 300",
}


@pytest.mark.parametrize("how", HIDING)
def test_one_that_hangs_is_ended_at_its_time_with_all_that_it_started(rig: HostRig, how: str) -> None:
    alive: list[int] = []

    def seen(kind: str, name: str) -> None:
        if (kind, name) == ("failed", "install"):
            uid = pwd.getpwnam(unix_user_for(saga.state.plan.name)).pw_uid
            alive.extend(one.pid for one in proc.processes() if one.uid == uid)

    saga = watched(rig, fresh(rig, make_source(rig.sandbox, "weather", HIDING[how], timeout_s=1)), seen)
    assert saga.carry_on() == "backed_out"
    assert "it ran longer than 1 s and was ended" in str(saga.state.backing_out)
    assert "timeout_s" in str(saga.state.backing_out)
    assert alive == [], "gone at once, not only when the user is deleted"


def test_what_one_leaves_behind_when_it_succeeds_is_ended_too(rig: HostRig) -> None:
    spec = fresh(rig, make_source(rig.sandbox, "weather", "setsid sleep 300 >/dev/null 2>&1 &"))
    saga = rig.begin("deploy", spec)
    assert saga.carry_on() == "committed"
    uid = pwd.getpwnam(unix_user_for(spec.name)).pw_uid
    commands = [(proc.find(one.pid), one) for one in proc.processes() if one.uid == uid]
    assert all("php-fpm" in _command(one.pid) for _, one in commands), [_command(one.pid) for _, one in commands]
    assert rig.delete(spec) == "committed"


def _command(pid: int) -> str:
    with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123 a pseudo file
        return file.read().decode(errors="replace")


@pytest.mark.parametrize(
    "flood", ["yes a line of no use | head -c 200000000", "head -c 200000000 /dev/zero | tr '\\0' x"]
)
def test_one_that_floods_its_output_is_cut_in_the_journal_and_the_run_goes_on(rig: HostRig, flood: str) -> None:
    spec = fresh(rig, make_source(rig.sandbox, "weather", f"{flood}; echo; echo done"))
    saga = rig.begin("deploy", spec)
    assert saga.carry_on() == "committed"
    journal = journal_of(saga, rig)
    assert journal.stat().st_size < 200_000
    lines = [entry.data["line"] for entry in read(journal) if entry.kind == "output"]
    assert 1 < len(lines) <= 202
    assert any("cut" in line for line in lines[-2:])
    assert OUTPUT_CUT
    assert rig.delete(spec) == "committed"


LEAKS = {
    "as it was told": "cat; exit 1",
    "in one long line": "cat >t 2>/dev/null || t=$(cat); printf '%s' \"$t\" | head -c 100000; exit 1",
    # Whatever its length, some copy of the password lies across each bound of the reader.
    "at every bound": 't=$(cat); p=${t##*\\"password\\": \\"}; p=${p%%\\"*}; i=0;'
    " (while [ $i -lt 3000 ]; do printf '%s' \"$p-$i-\"; i=$((i+1)); done) | dd bs=997 iflag=fullblock 2>&1; exit 1",
    "on the last line": 't=$(cat); p=${t##*\\"password\\": \\"}; p=${p%%\\"*}; echo "pw $p" >&2; exit 1',
}


@pytest.mark.parametrize("how", LEAKS)
def test_a_secret_that_one_prints_is_blotted_out_wherever_it_is_kept(rig: HostRig, how: str) -> None:
    saga = backed_out(rig, LEAKS[how])
    password = rig.vault.secret(saga.state.plan.instance, PASSWORD)
    journal = journal_of(saga, rig).read_text()
    decoded = "\n".join(json.dumps(entry.data, ensure_ascii=False) for entry in read(journal_of(saga, rig)))
    for text in (journal, decoded, str(saga.state.backing_out)):
        assert password not in text
        # Nor a half of it, which nobody would know for one.
        assert not [part for start in range(21) if (part := password[start : start + 12]) in text]
    assert "•" in decoded


def test_the_time_limit_holds_also_for_one_that_writes_all_the_time(rig: HostRig) -> None:
    begun = time.monotonic()
    saga = backed_out(rig, "yes", timeout_s=1)
    assert "it ran longer than 1 s" in str(saga.state.backing_out)
    assert time.monotonic() - begun < 25
