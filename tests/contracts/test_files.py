"""The contract of `ports.Files`, on a real file system."""

import errno
import os
import stat
import subprocess
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from central_dispatch.platforms import files as files_module
from central_dispatch.platforms import trees
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.platforms.linux import us
from central_dispatch.provisioning.ports import Files, Owner
from central_dispatch.provisioning.problem import HostError, Occupied
from servers.users import Users

OURS = us()


def _no_unnamed(fd: int) -> tuple[int, str]:
    """As on a file system without O_TMPFILE."""
    return os.open(".cd-new-x", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600, dir_fd=fd), ".cd-new-x"


@pytest.fixture(params=["unnamed files", "named files"])
def files(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Files:
    if request.param == "named files":
        monkeypatch.setattr(files_module, "_open_unnamed", _no_unnamed)
    return PosixFiles()


@pytest.fixture
def root(passable: Path) -> str:
    return str(passable)


def test_a_created_file_has_its_content_mode_and_owner_whatever_the_umask(files: Files, root: str) -> None:
    before = os.umask(0o077)
    try:
        files.create_file(f"{root}/f", b"text\n", OURS, 0o644)
        files.create_directory(f"{root}/d", OURS, 0o2750)
    finally:
        os.umask(before)
    found = files.find(f"{root}/f")
    assert found
    assert (found.kind, found.mode, found.owner, found.group, found.size) == ("file", 0o644, OURS.user, OURS.group, 5)
    made = files.find(f"{root}/d")
    assert made
    assert (made.kind, made.mode) == ("directory", 0o2750)
    assert files.read(f"{root}/f") == b"text\n"
    assert files.names(root) == ["d", "f"]


def test_a_file_can_belong_to_an_instances_user(files: Files, root: str, users: Users) -> None:
    user = users.make()
    files.create_file(f"{root}/f", b"", Owner("root", user.name), 0o640)
    files.create_directory(f"{root}/d", Owner(user.name, user.name), 0o700)
    found, made = files.find(f"{root}/f"), files.find(f"{root}/d")
    assert found
    assert made
    assert (found.owner, found.group, made.owner) == ("root", user.name, user.name)


@pytest.mark.parametrize("there", ["file", "directory", "dangling link"])
def test_nothing_is_created_over_what_is_there(files: Files, root: str, there: str) -> None:
    place = Path(root, "x")
    {
        "file": lambda: place.write_text("old"),
        "directory": place.mkdir,
        "dangling link": lambda: place.symlink_to("/nonexistent/target"),
    }[there]()
    before = files.find(str(place))
    Path(root, "new").write_text("new")
    acts: list[Callable[[], None]] = [
        lambda: files.create_file(str(place), b"new", OURS, 0o600),
        lambda: files.create_directory(str(place), OURS, 0o755),
        lambda: files.create_link(str(place), "elsewhere"),
        lambda: files.move_new(f"{root}/new", str(place)),
        lambda: files.copy_tree(root, str(place), OURS),
    ]
    for act in acts:
        with pytest.raises(Occupied):
            act()
    assert files.find(str(place)) == before
    # No half-made file of another name stays behind either.
    assert files.names(root) == ["new", "x"]


def test_a_missing_thing_is_none_and_not_an_error(files: Files, root: str) -> None:
    assert files.find(f"{root}/no/where") is None
    assert files.names(f"{root}/no") == []
    files.remove(f"{root}/no/where")
    with pytest.raises(HostError, match="Cannot read"):
        files.read(f"{root}/no")


def test_a_link_is_seen_and_removed_as_a_link(files: Files, root: str) -> None:
    Path(root, "kept").write_text("kept")
    files.create_link(f"{root}/link", "kept")
    found = files.find(f"{root}/link")
    assert found
    assert (found.kind, found.target) == ("link", "kept")
    with pytest.raises(HostError):
        files.read(f"{root}/link")
    files.remove(f"{root}/link")
    assert files.names(root) == ["kept"]


def test_reading_refuses_what_is_too_large_or_no_regular_file(files: Files, root: str) -> None:
    Path(root, "large").write_bytes(b"x" * 11)
    os.mkfifo(f"{root}/pipe")
    with pytest.raises(HostError, match="larger than 10 bytes"):
        files.read(f"{root}/large", limit=10)
    with pytest.raises(HostError, match="not a regular file"):
        files.read(f"{root}/pipe")


@pytest.mark.parametrize("at", range(3))
def test_nothing_is_written_through_a_link_that_a_tenant_made(root: str, users: Users, at: int) -> None:
    """The tenant owns one directory on the way, and has put a link into it."""
    tenant = users.make()
    victim = Path(root, "victim")
    victim.mkdir()
    (victim / "kept").write_text("kept")
    way = [Path(root, *"abc"[:length]) for length in range(1, 4)]
    for index, place in enumerate(way):
        if index == at + 1:
            place.symlink_to(victim)
            os.lchown(place, tenant.uid, tenant.gid)
            break
        place.mkdir()
        if index == at:
            os.chown(place, tenant.uid, tenant.gid)
    below = Path(root, *"abc"[: at + 2])
    files = PosixFiles()
    for act in (
        lambda: files.create_file(f"{below}/new", b"", OURS, 0o600),
        lambda: files.create_directory(f"{below}/new", OURS, 0o755),
        lambda: files.create_link(f"{below}/new", "x"),
        lambda: files.remove(f"{below}/kept"),
        lambda: files.move_new(f"{below}/kept", f"{root}/moved"),
        lambda: files.replace(f"{below}/kept", f"{root}/moved"),
        lambda: files.copy_tree(str(victim), f"{below}/new", OURS),
    ):
        with pytest.raises(HostError, match="Refused to write"):
            act()
    assert [one.name for one in victim.iterdir()] == ["kept"]
    if at < 2:
        with pytest.raises(HostError, match="link that another user could have made"):
            files.find(f"{below}/kept")


def test_nothing_is_written_below_a_directory_that_others_can_write_to(files: Files, root: str) -> None:
    open_place = Path(root, "open")
    open_place.mkdir()
    open_place.chmod(0o777)
    with pytest.raises(HostError, match="others can write"):
        files.create_file(f"{open_place}/f", b"", OURS, 0o600)
    open_place.chmod(0o1777)
    files.create_file(f"{open_place}/f", b"", OURS, 0o600)


def test_a_link_of_ours_in_a_place_of_ours_is_followed(files: Files, root: str) -> None:
    Path(root, "releases", "1").mkdir(parents=True)
    files.create_link(f"{root}/current", "releases/1")
    files.create_file(f"{root}/current/f", b"x", OURS, 0o600)
    assert files.read(f"{root}/releases/1/f") == b"x"


@pytest.mark.parametrize("path", ["relative", "/a/../b", "/a/./b", "/a/\0b", ""])
def test_odd_paths_are_refused(files: Files, path: str) -> None:
    for act in (lambda: files.find(path), lambda: files.remove(path), lambda: files.create_file(path, b"", OURS, 0)):
        with pytest.raises(HostError):
            act()


@pytest.fixture
def tree(root: str) -> Path:
    source = Path(root, "source")
    (source / "wp-content" / "cache").mkdir(parents=True)
    (source / "index.php").write_text("<?php")
    (source / "run.sh").write_text("#!/bin/sh")
    (source / "run.sh").chmod(0o4777)
    (source / "wp-content" / "cache" / "old").write_text("old")
    (source / "wp-content" / "odd\nname").write_text("odd")
    (source / "link").symlink_to("index.php")
    (source / "away").symlink_to("/etc/passwd")
    os.utime(source / "index.php", (1_000_000_000, 1_000_000_000))
    return source


def test_a_copy_keeps_links_and_times_and_gives_others_nothing(files: Files, root: str, tree: Path) -> None:
    files.copy_tree(str(tree), f"{root}/copy", OURS, excluded=["wp-content/cache", "nowhere"])
    copy = Path(root, "copy")
    assert sorted(str(one.relative_to(copy)) for one in copy.rglob("*")) == sorted(
        ["index.php", "run.sh", "link", "away", "wp-content", "wp-content/odd\nname"]
    )
    assert (copy / "link").readlink() == Path("index.php")
    assert (copy / "away").readlink() == Path("/etc/passwd")
    assert (copy / "index.php").stat().st_mtime == 1_000_000_000
    modes = {one.name: stat.S_IMODE(one.stat().st_mode) for one in copy.iterdir() if not one.is_symlink()}
    assert modes == {"index.php": 0o640, "run.sh": 0o750, "wp-content": 0o750}
    assert stat.S_IMODE(copy.stat().st_mode) == 0o750
    assert (copy / "wp-content" / "odd\nname").read_text() == "odd"


def test_a_copy_belongs_to_its_owner_throughout(root: str, tree: Path, users: Users) -> None:
    tenant = users.make()
    PosixFiles().copy_tree(str(tree), f"{root}/copy", Owner("root", tenant.name))
    found = [os.lstat(one) for one in [Path(root, "copy"), *Path(root, "copy").rglob("*")]]
    assert {(one.st_uid, one.st_gid) for one in found} == {(0, tenant.gid)}


def test_a_source_with_a_device_or_pipe_is_refused(files: Files, root: str, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    with pytest.raises(HostError, match="neither a file"):
        files.copy_tree(str(tree), f"{root}/copy", OURS)


def test_a_full_disk_is_said_in_words(files: Files, root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=r"No space left on device\. Free some space") as caught:
        files.create_file(f"{root}/f", b"x" * 100, OURS, 0o600)
    assert f"{root}/f" in caught.value.problem.what
    monkeypatch.undo()
    assert PosixFiles().names(root) == []


def test_a_move_takes_a_whole_tree_and_replaces_nothing(files: Files, root: str, tree: Path) -> None:
    files.move_new(str(tree), f"{root}/moved")
    assert not tree.exists()
    assert files.read(f"{root}/moved/index.php") == b"<?php"


def test_a_move_works_where_the_system_cannot_refuse_an_existing_target(
    files: Files, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Old:
        @staticmethod
        def renameat2(*_: object) -> int:
            return -1

    monkeypatch.setattr("central_dispatch.platforms.syscalls._libc", Old())
    monkeypatch.setattr("ctypes.get_errno", lambda: errno.EINVAL)
    Path(root, "a").write_text("a")
    Path(root, "b").write_text("b")
    with pytest.raises(Occupied):
        files.move_new(f"{root}/a", f"{root}/b")
    files.move_new(f"{root}/a", f"{root}/c")
    assert files.names(root) == ["b", "c"]


def test_replacing_is_atomic_over_what_is_ours(files: Files, root: str) -> None:
    files.create_link(f"{root}/current", "releases/1")
    files.create_link(f"{root}/new", "releases/2")
    files.replace(f"{root}/new", f"{root}/current")
    found = files.find(f"{root}/current")
    assert found
    assert found.target == "releases/2"
    assert files.names(root) == ["current"]


def test_removing_a_tree_leaves_what_its_links_point_to(files: Files, root: str, tree: Path) -> None:
    kept = Path(root, "kept")
    kept.mkdir()
    (kept / "f").write_text("kept")
    (tree / "wp-content" / "trap").symlink_to(kept)
    os.link(kept / "f", tree / "hard")
    files.remove(str(tree))
    assert files.names(root) == ["kept"]
    assert (kept / "f").read_text() == "kept"


def test_removing_goes_deeper_than_stack_and_descriptors_reach(files: Files, root: str) -> None:
    deep = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    files.remove(f"{root}/d")
    assert files.names(root) == []


def test_removing_a_tree_never_leaves_it_while_its_owner_swaps_directories_for_links(root: str, users: Users) -> None:
    tenant = users.make()
    kept = Path(root, "kept")
    kept.mkdir()
    names = {f"f{index}" for index in range(50)}
    for name in names:
        (kept / name).write_text("kept")
    files = PosixFiles()
    swap = (
        "import os,sys\n"
        "os.chdir(sys.argv[1]); n=0\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    n+=1\n"
        "    try:\n"
        "        os.makedirs('a/b', exist_ok=True); open('a/b/f','w').close()\n"
        "        os.rename('a', f'x{n}'); os.symlink(sys.argv[2], 'a'); os.unlink('a')\n"
        "        os.symlink(sys.argv[2], f'x{n}/l')\n"
        "    except OSError: pass\n"
    )
    for _ in range(3):
        tree = Path(root, "tree")
        files.create_directory(str(tree), Owner(tenant.name, tenant.name), 0o755)
        attack = subprocess.Popen(
            ["/usr/bin/python3", "-c", swap, str(tree), str(kept)], user=tenant.uid, stdout=subprocess.PIPE
        )
        assert attack.stdout
        attack.stdout.readline()
        ending = threading.Timer(0.5, attack.kill)
        ending.start()
        try:
            files.remove(str(tree))
        except HostError as error:
            # A tenant that never pauses may keep it from becoming empty; its processes end first in a run.
            assert "not empty" in str(error)  # noqa: PT017 either ending is right
        ending.join()
        attack.kill()
        attack.wait()
        attack.stdout.close()
        files.remove(str(tree))
        assert not tree.exists()
        assert {one.name for one in kept.iterdir()} == names


def test_a_mount_point_in_a_tree_is_not_emptied(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = (tree / "wp-content").stat()
    real = os.fstat

    def elsewhere(fd: int) -> os.stat_result:
        found = real(fd)
        if found.st_ino == inner.st_ino:
            return os.stat_result((*found[:2], found.st_dev + 1, *found[3:]))
        return found

    monkeypatch.setattr(trees.os, "fstat", elsewhere)
    with pytest.raises(HostError, match="another file system is mounted"):
        PosixFiles().remove(str(tree))
    assert (tree / "wp-content" / "cache" / "old").exists()


def test_free_space_and_sizes_are_numbers_of_the_file_system(files: Files, root: str, tree: Path) -> None:
    (tree / "large").write_bytes(b"x" * 1_000_000)
    assert files.free_bytes(f"{root}/not/there/yet") == pytest.approx(files.free_bytes(root), rel=0.5)
    assert 1_000_000 <= files.tree_size(str(tree)) < 1_100_000
    files.sync(root)


def test_a_checksum_is_the_files_sha256(files: Files, root: str) -> None:
    Path(root, "f").write_bytes(b"abc")
    assert files.checksum(f"{root}/f").startswith("ba7816bf8f01cfea")


def test_an_archive_holds_what_the_tenant_may_read_and_is_ours_alone(root: str, users: Users, tree: Path) -> None:
    tenant = users.make()
    secret = tree / "secret"
    secret.write_text("root's alone")
    secret.chmod(0o600)
    PosixFiles().archive(str(tree), f"{root}/a.tar.gz", tenant.name)
    found = PosixFiles().find(f"{root}/a.tar.gz")
    assert found
    assert (found.mode, found.owner) == (0o600, OURS.user)
    with tarfile.open(f"{root}/a.tar.gz") as archive:
        names = archive.getnames()
    assert "./index.php" in names
    assert "./wp-content/odd\nname" in names
    assert "./secret" not in names


def test_an_archive_that_fails_leaves_no_file(root: str, users: Users) -> None:
    with pytest.raises(HostError, match="Cannot archive"):
        PosixFiles().archive(f"{root}/nowhere", f"{root}/a.tar.gz", users.make().name)
    assert "a.tar.gz" not in PosixFiles().names(root)


def test_new_paths_get_their_selinux_context_where_it_is_on(root: str) -> None:
    calls = Path(root, "calls")
    record = Path(root, "restorecon")
    record.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    record.chmod(0o755)
    files = PosixFiles((str(record), "-R", "-F"), selinux=root)
    files.create_file(f"{root}/f", b"", OURS, 0o600)
    files.create_directory(f"{root}/d", OURS, 0o700)
    files.copy_tree(f"{root}/d", f"{root}/copy", OURS)
    assert calls.read_text().splitlines() == [f"-R -F {root}/{name}" for name in ("f", "d", "copy")]


@pytest.fixture
def small(passable: Path) -> Iterator[str]:
    """A file system of 256 KiB, which fills for real."""
    place = passable / "small"
    place.mkdir()
    mounting = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mounting, capture_output=True, check=False).returncode:
        pytest.skip("needs root and the right to mount a small file system")
    try:
        yield str(place)
    finally:
        subprocess.run(["/usr/bin/umount", str(place)], check=True)


def test_a_disk_that_fills_while_writing_leaves_no_half_file_and_can_be_cleared(small: str, root: str) -> None:
    files = PosixFiles()
    with pytest.raises(HostError, match="No space left"):
        files.create_file(f"{small}/large", b"x" * 300_000, OURS, 0o600)
    assert files.names(small) == []
    source = Path(root, "large")
    source.mkdir()
    for index in range(5):
        (source / f"f{index}").write_bytes(b"x" * 100_000)
    with pytest.raises(HostError, match=r"No space left.*Free some space"):
        files.copy_tree(str(source), f"{small}/copy", OURS)
    files.remove(f"{small}/copy")
    assert files.names(small) == []
    files.create_file(f"{small}/f", b"x" * 100_000, OURS, 0o600)


def test_what_is_mounted_inside_a_tree_survives_its_removal(small: str) -> None:
    files = PosixFiles()
    files.create_file(f"{small}/kept", b"kept", OURS, 0o600)
    with pytest.raises(HostError, match="another file system is mounted"):
        files.remove(str(Path(small).parent))
    assert files.read(f"{small}/kept") == b"kept"


def test_a_move_between_file_systems_is_refused_and_moves_nothing(small: str, root: str) -> None:
    files = PosixFiles()
    files.create_file(f"{root}/f", b"x", OURS, 0o600)
    with pytest.raises(HostError, match="must lie on one file system"):
        files.move_new(f"{root}/f", f"{small}/f")
    assert (files.names(small), files.read(f"{root}/f")) == ([], b"x")
