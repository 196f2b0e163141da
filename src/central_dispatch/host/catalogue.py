"""The sources that a host's administrator registered, as a plan needs them: read, never changed here."""

from dataclasses import dataclass

from central_dispatch.provisioning.manifest import Manifest, read_manifest
from central_dispatch.provisioning.ports import Files
from central_dispatch.provisioning.problem import HostError, Problem

MANIFEST = "portal.toml"
RELEASES = "releases"


@dataclass(frozen=True, slots=True)
class Release:
    """One release of a source. `source` is the manifest's directory, `tree` the release's, `size` in bytes."""

    manifest: Manifest
    source: str
    tree: str
    size: int


def find_manifest(files: Files, sources_directory: str, source: str) -> Manifest | Problem:
    """Read a source's manifest; source was parsed by the names' grammar."""
    path = f"{sources_directory}/{source}/{MANIFEST}"
    if files.find(f"{sources_directory}/{source}") is None:
        mend = "Pick one that the worker's page lists, or register it there: central-dispatch source add."
        return Problem(f"the host has no source “{source}”", mend=mend, field="source")
    if files.find(path) is None:
        return Problem(f"the source “{source}” has no manifest", f"{path} is missing", "Write it.", field="source")
    try:
        return read_manifest(files.read(path).decode(), path)
    except (HostError, UnicodeDecodeError) as error:
        return Problem(f"the manifest {path} cannot be read", str(error), "Correct the file.", field="source")


def find_release(files: Files, sources_directory: str, source: str, release: str) -> Release | Problem:
    """Find a release's tree; both names were parsed by the names' grammar."""
    manifest = find_manifest(files, sources_directory, source)
    if isinstance(manifest, Problem):
        return manifest
    directory = f"{sources_directory}/{source}"
    tree = f"{directory}/{RELEASES}/{release}"
    entry = files.find(tree)
    if entry is None or entry.kind != "directory":
        known = ", ".join(release_names(files, directory)) or "none"
        return Problem(f"“{source}” has no release “{release}”", f"there are: {known}", "Pick one.", field="release")
    return Release(manifest, directory, tree, files.tree_size(tree))


def release_names(files: Files, directory: str) -> list[str]:
    """Return the releases of a source's directory, sorted; what is being written has a hidden name."""
    folder = f"{directory}/{RELEASES}"
    names = (name for name in files.names(folder) if not name.startswith("."))
    return [name for name in names if (entry := files.find(f"{folder}/{name}")) and entry.kind == "directory"]
