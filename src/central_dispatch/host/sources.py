"""The sources of a host, as its administrator registers them: a manifest, and releases that never change.

SOURCES/NAME/portal.toml, …           the manifest with its templates and scripts
SOURCES/NAME/releases/R/              one release's tree
SOURCES/NAME/releases/R.sha256        its checksum
"""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from central_dispatch.host import durable
from central_dispatch.host.catalogue import MANIFEST, RELEASES
from central_dispatch.host.release_archive import is_archive, unpack
from central_dispatch.host.release_tree import Bounds, Copied, TreeCopy, checksum
from central_dispatch.platforms.files import PosixFiles
from central_dispatch.provisioning.manifest import read_manifest
from central_dispatch.provisioning.names import parse_release_name, parse_source_name
from central_dispatch.provisioning.problem import HostError, Problem

_SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Added:
    """A release that was registered. `left_out` names what was not copied: dangling links, devices, sockets."""

    source: str
    release: str
    size_bytes: int
    checksum: str
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A source that is registered, with its releases; `problem` says why it cannot be used."""

    name: str
    title: str
    releases: tuple[str, ...]
    problem: str = ""


def add_source(
    sources_directory: Path,
    name: str,
    manifest_directory: Path | None,
    from_path: Path,
    release: str,
    link_roots: Sequence[Path] = (),
) -> Added | Problem:
    """Register a release: a directory or an archive (.tar.gz, .zip …) at `from_path`.

    `manifest_directory` (a shipped one, see `central_dispatch.manifests.directory`, or one's own) makes the source,
    or replaces its manifest; None keeps the one that is there. A release that exists is never changed.
    """
    place = _place(sources_directory, name, release)
    if isinstance(place, Problem):
        return place
    try:
        problem = _put_manifest(place.parent.parent, manifest_directory)
        return problem or _put_release(place, name, from_path, tuple(link_roots))
    except HostError as error:
        return error.problem
    except OSError as error:
        what = f"The release {name} {release} cannot be registered"
        return Problem(what, f"{error.filename or ''} {error.strerror or error}".strip(), "Mend that, then try again.")


def list_sources(sources_directory: Path) -> list[Source]:
    """Return what is registered, by name."""
    if not sources_directory.is_dir():
        return []
    return [_listed(path) for path in sorted(sources_directory.iterdir()) if _is_source_name(path.name)]


def verify_release(sources_directory: Path, name: str, release: str) -> Problem | None:
    """Look whether a release still is what was registered."""
    place = _place(sources_directory, name, release)
    if isinstance(place, Problem):
        return place
    if not place.is_dir():
        return _unknown(name, release)
    try:
        wanted = durable.read(_sum_path(place)).decode().split()[0]
    except (OSError, UnicodeDecodeError, IndexError):
        mend = "Register the release again under another name."
        return Problem(f"The checksum of {name} {release} is missing", str(_sum_path(place)), mend, "release")
    if checksum(place) != wanted:
        what = f"The release {name} {release} was changed after it was registered"
        mend = "Find out by whom; then remove it and register it again."
        return Problem(what, f"its checksum is not that of {_sum_path(place)}", mend, "release")
    return None


def remove_release(sources_directory: Path, name: str, release: str) -> Problem | None:
    """Remove a release. Instances keep the copy that they run; none can be deployed from it any more."""
    place = _place(sources_directory, name, release)
    if isinstance(place, Problem):
        return place
    if not place.is_dir() or place.is_symlink():
        return _unknown(name, release)
    try:
        gone = place.with_name(f".{release}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        place.rename(gone)
        _sum_path(place).unlink(missing_ok=True)
        durable.sync_directory(place.parent)
        shutil.rmtree(gone)
    except OSError as error:
        return Problem(f"{place} cannot be removed", error.strerror or str(error), "Run the command as root.")
    return None


def _unknown(name: str, release: str) -> Problem:
    mend = "See what there is: central-dispatch source list."
    return Problem(f"There is no release {release} of {name}", "", mend, "release")


def _place(sources_directory: Path, name: str, release: str) -> Path | Problem:
    for field, parse, text in (("source", parse_source_name, name), ("release", parse_release_name, release)):
        try:
            parse(text)
        except ValueError as error:
            return Problem(f"“{text}” is no name of a {field}", str(error), "Choose another one.", field)
    return sources_directory / name / RELEASES / release


def _sum_path(place: Path) -> Path:
    return place.with_name(f"{place.name}.sha256")


def _is_source_name(name: str) -> bool:
    try:
        parse_source_name(name)
    except ValueError:
        return False
    return True


def _listed(path: Path) -> Source:
    try:
        manifest = read_manifest((path / MANIFEST).read_text(encoding="utf-8"), str(path / MANIFEST))
        found = sorted(entry.name for entry in (path / RELEASES).iterdir() if entry.is_dir())
    except (OSError, UnicodeDecodeError) as error:
        return Source(path.name, "", (), str(error))
    releases = tuple(name for name in found if not name.startswith("."))
    if isinstance(manifest, Problem):
        return Source(path.name, "", releases, str(manifest))
    return Source(path.name, manifest.name, releases, "" if releases else "it has no release yet")


def _put_manifest(source: Path, given: Path | None) -> Problem | None:
    """Copy a manifest's directory beside the releases; its own `releases`, if it ships any, are left out."""
    if given is None:
        if (source / MANIFEST).is_file():
            return None
        what = f"The source “{source.name}” has no manifest yet"
        mend = "Name one that ships (--kind KIND), or a directory with a portal.toml (--manifest DIRECTORY)."
        return Problem(what, "", mend, "manifest")
    path = given / MANIFEST
    try:
        manifest = read_manifest(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        return Problem(
            f"The manifest {path} cannot be read", str(error), "Name the directory that holds it.", "manifest"
        )
    if isinstance(manifest, Problem):
        return manifest
    for directory in (source.parent, source, source / RELEASES):
        directory.mkdir(mode=0o755, exist_ok=True, parents=True)
    for entry in sorted(given.iterdir()):
        # Scripts and templates by their own names; the manifest last: what it names is there by then.
        if entry.is_file() and entry.name != MANIFEST:
            durable.write(source / entry.name, entry.read_bytes(), 0o644)
        elif entry.is_dir() and entry.name not in {RELEASES, "__pycache__"}:
            _replace_tree(entry, source / entry.name)
    durable.write(source / MANIFEST, path.read_bytes(), 0o644)
    return None


def _replace_tree(given: Path, place: Path) -> None:
    staged = place.with_name(f".{place.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    TreeCopy(given).to(staged)
    if place.exists():
        shutil.rmtree(place)
    staged.rename(place)


def _put_release(place: Path, name: str, from_path: Path, link_roots: tuple[Path, ...]) -> Added | Problem:
    if place.exists() or place.is_symlink():
        what = f"The release {place.name} of {name} exists already"
        return Problem(what, "releases never change", "Give the new one another name.", "release")
    if not from_path.is_dir() and not (from_path.is_file() and is_archive(from_path)):
        mend = "Name a directory, or an archive: .tar.gz, .tar.xz, .tar.bz2, .tar or .zip."
        return Problem(f"{from_path} is no tree of a release", "", mend, "from")
    place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    unpacked, staged = place.with_name(f".{place.name}.unpacked"), place.with_name(f".{place.name}.new")
    try:
        for left in (unpacked, staged):
            shutil.rmtree(left, ignore_errors=True)
        tree = unpack(from_path, unpacked, _bounds(place)) if from_path.is_file() else from_path
        copied = TreeCopy(tree, link_roots, _bounds(place)).to(staged)
        return _published(staged, place, name, copied)
    finally:
        for left in (unpacked, staged):
            shutil.rmtree(left, ignore_errors=True)


def _published(staged: Path, place: Path, name: str, copied: Copied) -> Added | Problem:
    if not copied.entries:
        return Problem("The release is empty", "", "Name the directory that holds the portal's files.", "from")
    summed = checksum(staged)
    durable.write(_sum_path(place), f"{summed}  {place.name}\n".encode(), 0o644)
    # The whole tree reaches the disk before its final name does.
    PosixFiles().sync(str(staged))
    staged.rename(place)
    durable.sync_directory(place.parent)
    return Added(name, place.name, copied.size_bytes, summed, tuple(copied.left_out))


def _bounds(place: Path) -> Bounds:
    """Return the usual bounds, narrowed by what the disk has room for."""
    found = os.statvfs(place.parent)
    room = found.f_bavail * found.f_frsize - _SPARE_BYTES
    return Bounds(size_bytes=max(0, min(Bounds().size_bytes, room)))
