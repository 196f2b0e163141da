import click
import pytest
from click.testing import CliRunner

from central_dispatch.cli import exit_codes, screen


def ends_with(missing: str) -> tuple[int, str]:
    """What a command ends with that needs a package which is not there."""

    @click.command()
    @screen.command
    def needy() -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    result = CliRunner().invoke(needy)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("missing", "title", "extra"),
    [
        ("aio_pika", "RabbitMQ's client is not installed here", "central-dispatch[rabbitmq]"),
        ("psycopg.rows", "PostgreSQL's driver is not installed here", "central-dispatch[postgresql]"),
        ("MySQLdb", "MariaDB's driver is not installed here", "central-dispatch[mariadb]"),
        ("django", "The dispatcher is not installed here", "central-dispatch[portal]"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(missing: str, title: str, extra: str) -> None:
    code, said = ends_with(missing)
    assert code == exit_codes.FAILED
    assert title in said
    assert missing in said
    assert extra in said


def test_a_missing_module_of_our_own_is_a_fault_and_not_advice() -> None:
    code, said = ends_with("central_dispatch.nothing")
    assert (code, said) == (1, "")
