"""The contract of `ports.Processes`, with real processes of real users."""

import os
import pwd
import secrets
import subprocess
import sys

import pytest

from central_dispatch.platforms import proc
from central_dispatch.platforms.processes import UserProcesses
from central_dispatch.provisioning.ports import RUN_VARIABLE, Completed
from central_dispatch.provisioning.problem import HostError
from servers.users import Users

PYTHON = "/usr/bin/python3"
RUN = "0" * 32


@pytest.fixture
def user(users: Users) -> str:
    return users.make().name


def run(
    user: str, code: str, *, timeout_s: float = 20, stdin: bytes = b"", run: str = RUN
) -> tuple[Completed, list[str]]:
    lines: list[str] = []
    completed = UserProcesses().run(
        [PYTHON, "-c", code], user=user, directory="/", run=run, timeout_s=timeout_s, output=lines.append, stdin=stdin
    )
    return completed, lines


def test_a_command_runs_as_the_user_in_its_groups_alone_and_can_gain_nothing(user: str) -> None:
    status = "print(open('/proc/self/status').read())"
    lines = dict(line.split(":\t", 1) for line in run(user, status)[1] if ":\t" in line)
    assert lines["Uid"].split()[0] != "0"
    assert len(set(lines["Uid"].split())) == 1
    assert lines["Uid"].split() == lines["Gid"].split()
    assert lines["Groups"].strip() in {"", lines["Gid"].split()[0]}
    assert lines["NoNewPrivs"] == "1"
    assert lines["Umask"] == "0027"


def test_a_command_sees_a_clean_environment_and_no_descriptor_of_ours(
    user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "secret")
    leak = os.open("/etc/shadow", os.O_RDONLY)
    os.set_inheritable(leak, True)  # noqa: FBT003 its only form
    try:
        _, lines = run(user, "import os; print(sorted(os.environ)); print(sorted(os.listdir('/proc/self/fd')))")
    finally:
        os.close(leak)
    names = set(eval(lines[0]))  # noqa: S307 what our own line printed
    expected = {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "LC_CTYPE",
        "CENTRAL_DISPATCH_RUN",
        "CENTRAL_DISPATCH_COMMAND",
    }
    assert names <= expected
    # 0 to 2, and the one that lists them.
    assert lines[1] == "['0', '1', '2', '3']"


def test_exit_code_output_and_standard_input_pass_through_both_streams_merged(user: str) -> None:
    code = (
        "import sys; print(sys.stdin.read().upper()); print('to err', file=sys.stderr); "
        "print('no end', end=''); sys.exit(3)"
    )
    completed, lines = run(user, code, stdin=b"secret")
    assert completed.exit_code == 3
    assert sorted(lines) == ["SECRET", "no end", "to err"]
    assert "to err" in completed.tail


def test_standard_input_larger_than_a_pipe_and_unread_is_no_failure(user: str) -> None:
    assert run(user, "print('done')", stdin=b"x" * 1_000_000)[0].exit_code == 0
    _, lines = run(user, "import sys; print(len(sys.stdin.buffer.read()))", stdin=b"x" * 1_000_000)
    assert lines == ["1000000"]


def test_output_is_bounded_in_lines_and_the_end_is_kept(user: str) -> None:
    completed, lines = run(user, "for i in range(100000): print('line', i)")
    assert completed.exit_code == 0
    assert lines[:2] == ["line 0", "line 1"]
    assert len(lines) == 201
    assert lines[-1] == "… output cut"
    assert completed.tail.endswith("line 99999\n")
    assert len(completed.tail) <= 8192


def test_output_without_line_ends_is_bounded_in_bytes(user: str) -> None:
    completed, lines = run(user, "import sys\nfor i in range(300): sys.stdout.write('x' * 10000)")
    assert completed.exit_code == 0
    assert sum(map(len, lines)) < 80_000
    assert lines[-1] == "… output cut"


def test_odd_bytes_in_the_output_become_text(user: str) -> None:
    assert run(user, "import sys; sys.stdout.buffer.write(b'\\xff\\xfe ok\\r\\n')")[1] == ["\ufffd\ufffd ok"]


def _of(user: str) -> list[proc.Process]:
    return [one for one in proc.processes() if one.uid == pwd.getpwnam(user).pw_uid]


def test_past_its_time_the_whole_tree_is_ended_also_what_hid_itself(user: str) -> None:
    code = (
        "import os,signal,time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('begun', flush=True)\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(600)\n"
        "    os._exit(0)\n"
        "time.sleep(600)\n"
    )
    completed, lines = run(user, code, timeout_s=1)
    assert completed.exit_code is None
    assert lines == ["begun"]
    assert _of(user) == []


def test_a_process_that_wiped_its_environment_is_ended_by_its_session(user: str) -> None:
    code = (
        "import os\nif os.fork() == 0: os.execve('/bin/sleep', ['sleep', '600'], {})\nprint('gone ahead', flush=True)\n"
    )
    assert run(user, code)[0].exit_code == 0
    assert _of(user) == []


def test_a_daemon_that_a_command_leaves_is_ended_and_not_waited_for(user: str) -> None:
    code = (
        "import os,time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0: time.sleep(600)\n"
        "    os._exit(0)\n"
        "os.wait(); print('gone ahead', flush=True)\n"
    )
    completed, lines = run(user, code, timeout_s=100)
    assert completed.exit_code == 0
    assert lines == ["gone ahead"]
    assert _of(user) == []


def test_a_command_that_closes_its_output_is_still_waited_for(user: str) -> None:
    completed, _ = run(user, "import os,time; os.close(1); os.close(2); time.sleep(0.3); os._exit(7)")
    assert completed.exit_code == 7
    assert run(user, "import os,time; os.close(1); os.close(2); time.sleep(60)", timeout_s=0.3)[0].exit_code is None


def test_what_a_killed_host_worker_left_is_found_by_its_run_and_ended(user: str) -> None:
    run_id, other = secrets.token_hex(16), secrets.token_hex(16)
    code = (
        "import sys\n"
        "from central_dispatch.platforms.processes import UserProcesses\n"
        "UserProcesses().run(['/bin/sh','-c','echo begun; sleep 600'], user=sys.argv[1], directory='/',\n"
        "    run=sys.argv[2], timeout_s=600, output=lambda line: print(line, flush=True))\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, user, one], stdout=subprocess.PIPE, text=True)
        for one in (run_id, other)
    ]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "begun\n"
        worker.kill()
        worker.wait()
        worker.stdout.close()
    assert len(_of(user)) >= 2
    UserProcesses().end_leftovers(run_id)
    left = _of(user)
    assert left
    assert all(proc.has_variable(one.pid, f"{RUN_VARIABLE}={other}") for one in left)
    UserProcesses().end_leftovers(other)
    UserProcesses().end_leftovers(other)
    assert _of(user) == []


def test_a_missing_program_is_said_so(user: str) -> None:
    lines: list[str] = []
    completed = UserProcesses().run(
        ["/nonexistent/program"], user=user, directory="/", run=RUN, timeout_s=5, output=lines.append
    )
    assert completed.exit_code == 127
    assert "/nonexistent/program" in completed.tail


def test_a_missing_directory_is_said_so(user: str) -> None:
    with pytest.raises(HostError, match=r"Cannot start /bin/true: No such file or directory \(/nonexistent\)"):
        UserProcesses().run(["/bin/true"], user=user, directory="/nonexistent", run=RUN, timeout_s=5, output=print)


def test_nothing_of_an_instance_runs_as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root could run it as root")
    with pytest.raises(HostError, match="Refused"):
        UserProcesses().run(["/bin/true"], user="root", directory="/", run=RUN, timeout_s=5, output=print)
    with pytest.raises(HostError, match="no such user"):
        UserProcesses().run(["/bin/true"], user="cdt-nobody", directory="/", run=RUN, timeout_s=5, output=print)
