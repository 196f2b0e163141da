"""`source`: the sources of portal code that this host's administrator registered."""

from pathlib import Path
from typing import Any

import click

from central_dispatch.cli import exit_codes, places, screen
from central_dispatch.manifests import KINDS, directory
from central_dispatch.provisioning.problem import Problem

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def source() -> None:
    """Register sources of portal code on this host; instances are copied from their releases."""


@source.command("list")
@screen.command
def list_registered() -> None:
    """List the sources with their releases; one with a problem cannot be picked in the portal."""
    from central_dispatch.host import resolved, settings
    from central_dispatch.platforms.files import PosixFiles

    home = places.host_home()
    found = screen.granted(resolved.resolve(screen.granted(settings.load(home)), home))
    values = [one.model_dump(mode="json") for one in resolved.view(found, PosixFiles()).sources]
    columns = {"name": "Name", "title": "Title", "releases": "Releases", "runtime": "Runtime", "problem": "Problem"}
    screen.rows(values, columns, f"There is no source in {found.sources_directory}.")


@source.command("add")
@screen.command
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), help="A manifest that ships.")
@click.option("--manifest", "manifest", type=_FOLDER, help="Directory of your own portal.toml, in place of --kind.")
@click.option("--from", "tree", type=_FOLDER, required=True, help="The tree to copy as a release.")
@click.option("--release", required=True, help="What the release is called, such as 6.1.9.")
@click.option(
    "--links-into", "link_roots", multiple=True, type=_FOLDER, help="Links of the tree that lead here are copied too."
)
def add(
    name: str, kind: str | None, manifest: Path | None, tree: Path, release: str, link_roots: tuple[Path, ...]
) -> None:
    """Register a source, or add a release to it. The tree is copied; instances never see it change."""
    from central_dispatch.host.sources import add_source

    if (kind is None) == (manifest is None):
        problem = Problem("Name one of --kind and --manifest", mend=f"Kinds that ship: {', '.join(KINDS)}.")
        raise screen.Stop(exit_codes.USAGE, problem)
    shipped = directory(kind) if kind else manifest
    screen.granted(add_source(_sources(), name, shipped, tree, release, link_roots=link_roots))
    value: dict[str, Any] = {"source": name, "release": release}
    screen.say(value, f"Source {name} has the release {release}.")


def _sources() -> Path:
    from central_dispatch.host import resolved, settings

    home = places.host_home()
    return screen.granted(resolved.resolve(screen.granted(settings.load(home)), home)).sources_directory
