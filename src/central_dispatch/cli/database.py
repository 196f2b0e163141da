"""`dispatcher show-database-sql`, `dispatcher check-database`: a server in place of SQLite."""

import click

from central_dispatch.cli import exit_codes, places, screen
from central_dispatch.configuration import Database, configuration_path, read_configuration
from central_dispatch.provisioning.problem import Problem


@click.group()
def dispatcher() -> None:
    """Prepare a server for the dispatcher's database."""


@dispatcher.command("show-database-sql")
@screen.command
@click.option("--from", "client", default="localhost", show_default=True, help="MariaDB: where the dispatcher runs.")
def show_database_sql(client: str) -> None:
    """Print the SQL that makes database and user, for an administrator of the server that dispatcher.toml names."""
    from central_dispatch.stores.server.preparing import setup_sql

    database = _server()
    try:
        statements = setup_sql(database, client)
    except ValueError as error:
        mend = "Correct name and user in dispatcher.toml, and --from."
        raise screen.Stop(exit_codes.FAILED, Problem("No SQL can be made of these names", str(error), mend)) from error
    screen.say({"engine": database.engine, "statements": statements}, "\n".join(statements))


@dispatcher.command("check-database")
@screen.command
def check_database() -> None:
    """Look whether the database named in dispatcher.toml can be used. Exit code 0: it can."""
    from central_dispatch.stores.server.preparing import database_problem

    database = _server()
    if problem := database_problem(database):
        raise screen.Stop(exit_codes.AWAY, problem)
    screen.say({"engine": database.engine, "place": database.place, "ok": True}, f"{database.place}: it can be used.")


def _server() -> Database:
    home = places.home_directory()
    database = read_configuration(home).database
    if database.engine == "sqlite":
        mend = f"Write engine, host, name, user and password_file below [database] in {configuration_path(home)}."
        raise screen.Stop(exit_codes.FAILED, Problem("The dispatcher uses SQLite", "nothing is to be made", mend))
    return database
