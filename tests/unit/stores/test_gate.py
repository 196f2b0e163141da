"""What stores add to the gate; that writers take turns is shown where Django and the store meet."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from central_dispatch.stores import gate as gates
from central_dispatch.stores.gate import Gate, GateClosed, gate_path
from central_dispatch.stores.gate_holder import let_stopped_holder_go_on


def test_all_who_write_a_database_meet_at_the_same_file(tmp_path: Path) -> None:
    assert gate_path(tmp_path / "x.sqlite3") == tmp_path / "x.sqlite3.lock"


def test_patience_is_the_callers(tmp_path: Path) -> None:
    first, second = Gate(tmp_path / "lock"), Gate(tmp_path / "lock", patience_s=0.01)
    first.enter()
    with pytest.raises(GateClosed, match="holds the database"):
        second.enter()
    second.close()
    first.close()


def test_a_lock_file_that_was_removed_keeps_writers_apart_all_the_same(tmp_path: Path) -> None:
    first, second = Gate(tmp_path / "lock"), Gate(tmp_path / "lock", patience_s=0.01)
    (tmp_path / "lock").unlink()
    first.enter()
    with pytest.raises(GateClosed):
        second.enter()
    first.leave()
    second.enter()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
    second.close()
    first.close()


def test_a_gate_whose_directory_is_gone_closes_nothing_of_others(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    gate = Gate(tmp_path / "home" / "lock")
    (tmp_path / "home" / "lock").unlink()
    (tmp_path / "home").rmdir()
    with pytest.raises(FileNotFoundError):
        gate.enter()
    # Of a descriptor that was closed the next file would get the number, and be closed in its place.
    with (tmp_path / "another").open("w") as another:
        gate.close()
        another.write("still open")
    assert (tmp_path / "another").read_text() == "still open"


_HOLDER = """
import sys, time
from pathlib import Path
from central_dispatch.stores.gate import Gate
gate = Gate(Path(sys.argv[1]))
gate.enter()
print("held", flush=True)
sys.stdin.readline()
gate.leave()
print("left", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path / "lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]


def test_who_holds_the_gate_is_named_when_patience_ends(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    gate = Gate(tmp_path / "lock", patience_s=0.01)
    with pytest.raises(GateClosed, match=rf"process {holder.pid} \(python"):
        gate.enter()
    gate.close()


def test_a_holder_that_was_stopped_in_its_transaction_is_continued_and_said_so(
    tmp_path: Path, holder: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(gates, "_LOOK_S", 0.05)
    assert holder.stdin
    holder.send_signal(signal.SIGSTOP)
    while _state(holder.pid) != "T":
        time.sleep(0.01)
    holder.stdin.write("leave\n")  # what it would do next, if it could
    holder.stdin.flush()
    gate = Gate(tmp_path / "lock")
    gate.enter()
    gate.close()
    assert f"process {holder.pid} (python" in caplog.text
    assert "which was stopped held up all who write" in caplog.text


def test_a_holder_that_is_being_debugged_is_left_alone(tmp_path: Path, holder: "subprocess.Popen[str]") -> None:
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    assert trace(16, holder.pid, 0, 0) == 0, os.strerror(ctypes.get_errno())  # PTRACE_ATTACH: stops it
    while _state(holder.pid) != "t":
        time.sleep(0.01)
    gate = Gate(tmp_path / "lock", patience_s=0.01)
    found = let_stopped_holder_go_on(gate._descriptor)
    assert found is not None
    assert (found.pid, found.state, _state(holder.pid)) == (holder.pid, "t", "t")
    gate.close()
    assert trace(17, holder.pid, 0, 0) == 0  # PTRACE_DETACH
