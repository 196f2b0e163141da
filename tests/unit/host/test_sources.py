"""Sources and releases on a real file system, from trees and archives, honest and hostile."""

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from central_dispatch import manifests
from central_dispatch.host import release_archive, sources
from central_dispatch.host.release_tree import Bounds, TreeCopy, checksum
from central_dispatch.host.sources import Added, add_source, list_sources, remove_release, verify_release
from central_dispatch.provisioning.problem import HostError, Problem

STATIC = manifests.directory("static")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "bin").mkdir(parents=True)
    (root / "index.html").write_text("<h1>hello</h1>")
    (root / "bin" / "run").write_text("#!/bin/sh\n")
    (root / "bin" / "run").chmod(0o4775)
    return root


@pytest.fixture
def registered(tmp_path: Path) -> Path:
    return tmp_path / "sources"


def add(registered: Path, tree: Path, release: str = "1.0", roots: tuple[Path, ...] = ()) -> Added | Problem:
    return add_source(registered, "site", STATIC, tree, release, roots)


def test_a_release_is_a_copy_with_plain_modes_and_its_checksum_beside_it(registered: Path, tree: Path) -> None:
    added = add(registered, tree)
    assert isinstance(added, Added), added
    place = registered / "site" / "releases" / "1.0"
    assert stat.S_IMODE((place / "bin" / "run").stat().st_mode) == 0o755
    assert stat.S_IMODE((place / "index.html").stat().st_mode) == 0o644
    assert place.with_name("1.0.sha256").read_text() == f"{added.checksum}  1.0\n"
    assert verify_release(registered, "site", "1.0") is None
    assert [(one.name, one.releases, one.problem) for one in list_sources(registered)] == [("site", ("1.0",), "")]


def test_the_shipped_sample_can_be_registered(registered: Path) -> None:
    shipped = manifests.directory("sample")
    added = add_source(registered, "sample", shipped, shipped / "releases" / "1.0.0", "1.0.0")
    assert isinstance(added, Added), added
    assert list_sources(registered)[0].problem == ""


@pytest.mark.parametrize("change", ["content", "mode", "new file", "link", "removed"])
def test_any_change_of_a_release_is_found(registered: Path, tree: Path, change: str) -> None:
    add(registered, tree)
    place = registered / "site" / "releases" / "1.0"
    match change:
        case "content":
            (place / "index.html").write_text("<h1>hallo</h1>")
        case "mode":
            (place / "index.html").chmod(0o666)
        case "new file":
            (place / "evil.php").touch()
        case "link":
            (place / "index.html").unlink()
            (place / "index.html").symlink_to("/etc/passwd")
        case "removed":
            (place / "bin" / "run").unlink()
    found = verify_release(registered, "site", "1.0")
    assert isinstance(found, Problem)
    assert "changed" in found.what


def test_a_release_never_changes(registered: Path, tree: Path) -> None:
    add(registered, tree)
    (tree / "index.html").write_text("new")
    refused = add(registered, tree)
    assert isinstance(refused, Problem)
    assert refused.field == "release"
    assert verify_release(registered, "site", "1.0") is None


def test_a_further_release_keeps_the_manifest(registered: Path, tree: Path) -> None:
    add(registered, tree)
    assert isinstance(add_source(registered, "site", None, tree, "1.1"), Added)
    assert list_sources(registered)[0].releases == ("1.0", "1.1")


def test_links_inside_stay_and_links_out_are_refused_or_become_what_they_point_to(
    registered: Path, tree: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    (shared / "js").mkdir(parents=True)
    (shared / "js" / "a.js").write_text("a")
    (tree / "inside").symlink_to(tree / "bin" / "run")
    (tree / "bin" / "up").symlink_to("../index.html")
    (tree / "js").symlink_to(shared / "js")
    (tree / "one.js").symlink_to("../shared/js/a.js")
    (tree / "dangling").symlink_to("/nowhere/at/all")
    refused = add(registered, tree)
    assert isinstance(refused, Problem)
    assert "link out of the tree" in refused.what
    assert not (registered / "site" / "releases" / "1.0").exists()
    added = add(registered, tree, roots=(shared,))
    assert isinstance(added, Added), added
    place = registered / "site" / "releases" / "1.0"
    assert (place / "inside").readlink() == Path("bin/run")
    assert (place / "bin" / "up").readlink() == Path("../index.html")
    assert (place / "js" / "a.js").read_text() == "a"
    assert not (place / "js").is_symlink()
    assert not (place / "one.js").is_symlink()
    assert added.left_out == ("dangling",)


def test_a_link_in_a_circle_ends(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "again").symlink_to(outside)
    (tree / "loop").symlink_to(outside)
    with pytest.raises(HostError, match="around it"):
        TreeCopy(tree, (outside,)).to(tmp_path / "copy")


def test_what_is_no_file_is_left_out_and_said(registered: Path, tree: Path) -> None:
    os.mkfifo(tree / "pipe")
    added = add(registered, tree)
    assert isinstance(added, Added)
    assert added.left_out == ("pipe",)


def test_a_copy_is_bounded(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="too large"):
        TreeCopy(tree, bounds=Bounds(size_bytes=10)).to(tmp_path / "copy")
    with pytest.raises(HostError, match="too large"):
        TreeCopy(tree, bounds=Bounds(entries=2)).to(tmp_path / "copy2")


@pytest.mark.parametrize("ending", [".tar.gz", ".tar.xz", ".zip"])
def test_an_archive_is_a_release_too_and_its_one_directory_is_the_root(
    registered: Path, tree: Path, tmp_path: Path, ending: str
) -> None:
    archive = tmp_path / f"site{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(archive, "w") as packed:
            for path in sorted(tree.rglob("*")):
                packed.write(path, Path("site-1.0") / path.relative_to(tree))
    else:
        with tarfile.open(archive, f"w:{ending[5:]}") as packed_tar:
            packed_tar.add(tree, "site-1.0")
    assert isinstance(add(registered, archive), Added)
    place = registered / "site" / "releases" / "1.0"
    assert (place / "index.html").read_text() == "<h1>hello</h1>"
    assert stat.S_IMODE((place / "bin" / "run").stat().st_mode) == 0o755
    assert sorted(path.name for path in place.parent.iterdir()) == ["1.0", "1.0.sha256"]


def hostile_tar(path: Path, member: tarfile.TarInfo, content: bytes = b"") -> Path:
    member.size = len(content)
    with tarfile.open(path, "w:gz") as packed:
        packed.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


@pytest.mark.parametrize(
    "given",
    [
        member("../escaped"),
        member("a/../../escaped"),
        member("link", tarfile.SYMTYPE, "/etc/passwd"),
        member("link", tarfile.SYMTYPE, "../../escaped"),
        member("hard", tarfile.LNKTYPE, "/etc/passwd"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda given: f"{given.name}-{given.type.decode()}-{given.linkname}",
)
def test_a_hostile_tar_is_refused_and_leaves_nothing(registered: Path, tmp_path: Path, given: tarfile.TarInfo) -> None:
    refused = add(registered, hostile_tar(tmp_path / "evil.tar.gz", given))
    assert isinstance(refused, Problem)
    assert not (tmp_path / "escaped").exists()
    assert not (registered / "escaped").exists()
    assert list((registered / "site" / "releases").iterdir()) == []


def test_an_absolute_name_in_a_tar_stays_inside(registered: Path, tmp_path: Path) -> None:
    escaped = tmp_path / "escaped"
    add(registered, hostile_tar(tmp_path / "evil.tar.gz", member(str(escaped)), b"x"))
    assert not escaped.exists()


@pytest.mark.parametrize(
    ("name", "mode"),
    [("../escaped", stat.S_IFREG), ("/escaped", stat.S_IFREG), ("a\\..\\b", stat.S_IFREG), ("link", stat.S_IFLNK)],
)
def test_a_hostile_zip_is_refused(registered: Path, tmp_path: Path, name: str, mode: int) -> None:
    archive = tmp_path / "evil.zip"
    info = zipfile.ZipInfo(name)
    info.external_attr = (mode | 0o644) << 16
    with zipfile.ZipFile(archive, "w") as packed:
        packed.writestr(info, "/etc/passwd")
    assert isinstance(add(registered, archive), Problem)
    assert list((registered / "site" / "releases").iterdir()) == []


def test_an_archive_that_unpacks_to_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    archive = hostile_tar(tmp_path / "bomb.tar.gz", member("zeros"), bytes(1 << 20))
    assert archive.stat().st_size < 10_000
    with pytest.raises(HostError, match="too large"):
        release_archive.unpack(archive, tmp_path / "out", Bounds(size_bytes=1 << 19))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_damaged_archive_is_said(registered: Path, tmp_path: Path) -> None:
    archive = tmp_path / "site.tar.gz"
    archive.write_bytes(b"no archive")
    refused = add(registered, archive)
    assert isinstance(refused, Problem)
    assert "cannot be unpacked" in refused.what


@pytest.mark.parametrize(
    ("name", "release", "field"), [("../x", "1", "source"), ("site", "..", "release"), ("site", "a/b", "release")]
)
def test_a_name_that_is_a_path_is_refused(registered: Path, tree: Path, name: str, release: str, field: str) -> None:
    for refused in (
        add_source(registered, name, STATIC, tree, release),
        remove_release(registered, name, release),
        verify_release(registered, name, release),
    ):
        assert isinstance(refused, Problem)
        assert refused.field == field


def test_a_source_needs_a_manifest_that_can_be_read(registered: Path, tree: Path, tmp_path: Path) -> None:
    assert isinstance(add_source(registered, "site", None, tree, "1.0"), Problem)
    assert isinstance(add_source(registered, "site", tmp_path / "none", tree, "1.0"), Problem)
    (tmp_path / "portal.toml").write_text("name = ")
    assert isinstance(add_source(registered, "site", tmp_path, tree, "1.0"), Problem)


def test_a_removed_release_is_gone_and_one_that_is_not_there_is_said(registered: Path, tree: Path) -> None:
    add(registered, tree)
    assert remove_release(registered, "site", "1.0") is None
    assert list((registered / "site" / "releases").iterdir()) == []
    assert isinstance(remove_release(registered, "site", "1.0"), Problem)
    assert list_sources(registered)[0].problem == "it has no release yet"


def test_a_disk_without_room_refuses_the_release(registered: Path, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_bounds", lambda _place: Bounds(size_bytes=0))
    assert isinstance(add(registered, tree), Problem)
    assert list((registered / "site" / "releases").iterdir()) == []


def test_two_trees_with_the_same_bytes_differently_cut_have_different_checksums(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for root, name, content in ((one, "a", "bc"), (other, "ab", "c")):
        root.mkdir()
        (root / name).write_text(content)
    assert checksum(one) != checksum(other)
