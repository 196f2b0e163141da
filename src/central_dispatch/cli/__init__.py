import click


@click.group()
def main() -> None:
    """Central Dispatch."""
