"""Archives of releases, unpacked with distrust: nothing outside the directory, no devices, no links out, bounded."""

import shutil
import stat
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from central_dispatch.host.release_tree import Bounds
from central_dispatch.provisioning.problem import HostError, Problem

_TAR_ENDINGS = (".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar")
_MEND = "Look at the archive: it may be damaged, or made to harm."


def is_archive(path: Path) -> bool:
    """Say whether a file's name is that of an archive that can be unpacked."""
    return path.name.lower().endswith((*_TAR_ENDINGS, ".zip"))


def unpack(archive: Path, target: Path, bounds: Bounds | None = None) -> Path:
    """Unpack into the new directory `target`; return the tree's root: the one directory on top, if there is just one.

    Raises `HostError` for what is refused, `OSError` where the disk does not take it.
    """
    bounds = bounds or Bounds()
    target.mkdir(mode=0o700)
    try:
        if archive.name.lower().endswith(".zip"):
            _unzip(archive, target, bounds)
        else:
            _untar(archive, target, bounds)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise HostError(Problem(f"{archive.name} cannot be unpacked", str(error), _MEND)) from error
    inside = list(target.iterdir())
    return inside[0] if len(inside) == 1 and inside[0].is_dir() and not inside[0].is_symlink() else target


def _untar(archive: Path, target: Path, bounds: Bounds) -> None:
    with tarfile.open(archive, "r:*") as tar:
        size = 0
        for count, member in enumerate(tar, start=1):
            size += member.size
            _demand_within(bounds, count, size)
    with tarfile.open(archive, "r:*") as tar:
        # The filter refuses absolute names, `..`, links out of the directory, devices; and takes odd modes away.
        tar.extractall(target, filter="data")


def _unzip(archive: Path, target: Path, bounds: Bounds) -> None:
    with zipfile.ZipFile(archive) as packed:
        members = packed.infolist()
        _demand_within(bounds, len(members), sum(member.file_size for member in members))
        for member in members:
            _unzip_one(packed, member, target)


def _unzip_one(packed: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    name = PurePosixPath(member.filename)
    mode = member.external_attr >> 16
    if name.is_absolute() or ".." in name.parts or "\\" in member.filename or "\0" in member.filename:
        raise HostError(Problem(f"The archive names a place outside itself: {member.filename!r}", "", _MEND))
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG, stat.S_IFDIR}:
        raise HostError(Problem(f"The archive holds a link or a device: {member.filename}", "", _MEND))
    place = target / name
    if member.is_dir():
        place.mkdir(mode=0o755, parents=True, exist_ok=True)
        return
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    with packed.open(member) as source, place.open("xb") as copy:
        shutil.copyfileobj(source, copy)
    place.chmod(0o755 if mode & stat.S_IXUSR else 0o644)


def _demand_within(bounds: Bounds, entries: int, size: int) -> None:
    if entries > bounds.entries or size > bounds.size_bytes:
        raise HostError(
            Problem(
                "The archive is too large",
                f"it unpacks to more than {bounds.entries} entries or {bounds.size_bytes / 1e9:.0f} GB",
                "Is it the right file?",
            )
        )
