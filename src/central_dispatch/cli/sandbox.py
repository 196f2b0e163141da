"""`sandbox`: a private Apache, PHP-FPM and MariaDB below one directory."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from central_dispatch.cli import screen

if TYPE_CHECKING:
    from central_dispatch.platforms.sandbox import Sandbox

_directory = click.option(
    "--directory", type=click.Path(file_okay=False, path_type=Path), help="Default: sandbox below --home."
)


@click.group()
def sandbox() -> None:
    """Real servers of your own, on free ports, to try deployments on. Nothing of the machine's is touched."""


def place(directory: Path | None) -> Path:
    """Return the sandbox's directory."""
    from central_dispatch.cli.places import sandbox_directory

    return (directory or sandbox_directory()).absolute()


@sandbox.command("create")
@screen.command
@_directory
def create_sandbox(directory: Path | None) -> None:
    """Make a sandbox; start it with `sandbox start`."""
    from central_dispatch.platforms.sandbox import create

    show(create(str(place(directory))), "Made")


@sandbox.command("start")
@screen.command
@_directory
def start_sandbox(directory: Path | None) -> None:
    """Start its servers; what runs already is left running."""
    from central_dispatch.platforms.sandbox import load

    found = load(str(place(directory)))
    found.start()
    show(found, "Running")


@sandbox.command("stop")
@screen.command
@_directory
def stop_sandbox(directory: Path | None) -> None:
    """Stop its servers. Its files stay."""
    from central_dispatch.platforms.sandbox import load

    found = load(str(place(directory)))
    found.stop()
    show(found, "Stopped")


def show(found: "Sandbox", verb: str) -> None:
    """Show where the sandbox is reached."""
    value = {
        "directory": str(found.directory),
        "domain": found.domain,
        "https_port": found.layout.https_port,
        "certificate_authority": str(found.ca),
        "running": found.running(),
    }
    screen.say(
        value,
        f"{verb}: {found.directory}, hostnames *.{found.domain}, HTTPS port {found.layout.https_port}, CA {found.ca}",
    )
