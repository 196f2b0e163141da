"""`source`: the sources of portal code that this host's administrator registered."""

from pathlib import Path

import click

from central_dispatch.cli import exit_codes, places, screen
from central_dispatch.manifests import KINDS, directory
from central_dispatch.provisioning.problem import Problem

_FOLDER = click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path)


@click.group()
def source() -> None:
    """Register sources of portal code on this host; instances are copied from their releases."""


@source.command("list")
@screen.command
def list_registered() -> None:
    """List the sources with their releases; one with a problem cannot be picked in the portal."""
    from central_dispatch.host.sources import list_sources

    place = _sources()
    values = [
        {"name": one.name, "title": one.title, "releases": list(one.releases), "problem": one.problem}
        for one in list_sources(place)
    ]
    columns = {"name": "Name", "title": "Title", "releases": "Releases", "problem": "Problem"}
    screen.rows(values, columns, f"There is no source in {place}.")


@source.command("add")
@screen.command
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="A manifest that ships. Needed for a new source only.")
@click.option("--manifest", type=_FOLDER, help="Directory of your own portal.toml, in place of --kind.")
@click.option(
    "--from",
    "tree",
    type=click.Path(exists=True, resolve_path=True, path_type=Path),
    required=True,
    help="The release: a directory, or an archive (.tar.gz, .tar.xz, .tar.bz2, .tar, .zip).",
)
@click.option("--release", required=True, help="What the release is called, such as 6.1.9.")
@click.option(
    "--link-root", "link_roots", multiple=True, type=_FOLDER, help="Links of the tree that lead here are copied, too."
)
def add(
    name: str, kind: str | None, manifest: Path | None, tree: Path, release: str, link_roots: tuple[Path, ...]
) -> None:
    """Register a source, or add a release to it. The release is copied, summed, and never changed again."""
    from central_dispatch.host.sources import add_source

    if kind and manifest:
        raise screen.Stop(exit_codes.USAGE, Problem("--kind and --manifest exclude each other", mend="Name one."))
    shipped = directory(kind) if kind else manifest
    added = screen.granted(add_source(_sources(), name, shipped, tree, release, link_roots=link_roots))
    left = f" Not copied: {', '.join(added.left_out[:10])}." if added.left_out else ""
    value = {
        "source": added.source,
        "release": added.release,
        "size_bytes": added.size_bytes,
        "checksum": added.checksum,
        "left_out": list(added.left_out),
    }
    screen.say(value, f"Source {name} has the release {release}, {added.size_bytes / 1e6:.1f} MB.{left}")


@source.command("verify")
@screen.command
@click.argument("name")
@click.argument("release")
def verify(name: str, release: str) -> None:
    """Look whether a release still is what was registered."""
    from central_dispatch.host.sources import verify_release

    screen.granted(verify_release(_sources(), name, release))
    screen.say({"source": name, "release": release, "ok": True}, f"{name} {release} is as it was registered.")


@source.command("remove")
@screen.command
@click.argument("name")
@click.argument("release")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, release: str, *, yes: bool) -> None:
    """Remove a release. Instances keep the copy that they run."""
    from central_dispatch.host.sources import remove_release

    if not yes:
        click.confirm(f"Remove {name} {release}?", abort=True, err=True)
    screen.granted(remove_release(_sources(), name, release))
    screen.say({"source": name, "release": release}, f"{name} {release} is removed.")


def _sources() -> Path:
    from central_dispatch.host import resolved, settings

    home = places.host_home()
    return screen.granted(resolved.resolve(screen.granted(settings.load(home)), home)).sources_directory
