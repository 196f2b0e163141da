"""The word for where process numbers count differs wherever the same number may be another process."""

import os
import socket
from pathlib import Path

from central_dispatch.platforms.pid_space import pid_space


def root(place: Path, namespace: int, machine: str = "m1", boot: str = "b1") -> Path:
    for name, text in (("etc/machine-id", machine), ("proc/sys/kernel/random/boot_id", boot)):
        (place / name).parent.mkdir(parents=True)
        (place / name).write_text(text + "\n")
    (place / "proc/self/ns").mkdir(parents=True)
    (place / "proc/self/ns/pid").symlink_to(f"pid:[{namespace}]")
    return place


MACHINE = 4026531836


def test_machines_of_one_hostname_differ_and_keep_their_word_over_a_restart(tmp_path: Path) -> None:
    one = pid_space(root(tmp_path / "1", MACHINE))
    assert pid_space(root(tmp_path / "2", MACHINE, boot="b2")) == one
    assert pid_space(root(tmp_path / "3", MACHINE, machine="m2")) != one


def test_containers_of_one_hostname_differ_on_one_machine_and_on_two_made_from_one_image(tmp_path: Path) -> None:
    places = [("1", 4026532281, "b1"), ("2", 4026532282, "b1"), ("3", 4026532281, "b2"), ("4", MACHINE, "b1")]
    assert len({pid_space(root(tmp_path / name, space, boot=boot)) for name, space, boot in places}) == 4


def test_where_nothing_can_be_read_it_is_the_hostname(tmp_path: Path) -> None:
    assert pid_space(tmp_path) == socket.gethostname()


def test_it_is_the_same_for_all_processes_here_and_fits_its_column() -> None:
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, pid_space().encode())
        os._exit(0)
    os.wait()
    assert os.read(read, 1000).decode() == pid_space()
    assert socket.gethostname() in pid_space()
    assert len(pid_space()) <= 255
