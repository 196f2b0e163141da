"""What a command shows: people get tables and sentences, `--json` gets one JSON value on standard output."""

import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from central_dispatch.cli import exit_codes
from central_dispatch.jobs.text import printable
from central_dispatch.provisioning.problem import HostError, Problem, Unavailable

P = ParamSpec("P")
T = TypeVar("T")
_KEY = "central_dispatch.json"
_ROOMY = 110
#: Columns of numbers, which stand to the right.
_NUMBERS = frozenset({"waiting", "running", "in_error", "attempts", "percent", "slots", "busy", "last_job", "workers"})


class Stop(Exception):
    """Ends a command: an exit code, and the problems to show."""

    def __init__(self, exit_code: int, *problems: Problem) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.exit_code = exit_code
        self.problems = problems


class Ended(Exception):
    """Ends a command that has shown everything already, with an exit code."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def command(function: Callable[P, None]) -> Callable[P, None]:
    """Give a command `--json` and one-screen errors. Stands below `@group.command()` and above its options."""

    @wraps(function)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        click.get_current_context().meta[_KEY] = bool(kwargs.pop("as_json"))
        try:
            function(*args, **kwargs)
        except Stop as stop:
            _show_problems(stop.exit_code, stop.problems)
        except KeyboardInterrupt:
            _show_problems(exit_codes.LEFT, (Problem("Stopped by Ctrl-C"),))
        except Ended as end:
            click.get_current_context().exit(end.exit_code)
        except Unavailable as error:
            _show_problems(exit_codes.AWAY, (error.problem,))
        except HostError as error:
            _show_problems(exit_codes.FAILED, (error.problem,))
        except ModuleNotFoundError as error:
            _show_problems(exit_codes.FAILED, (_what_is_missing(error),))

    return click.option("--json", "as_json", is_flag=True, help="Print one JSON value for programs.")(guarded)


#: Packages of the other extras, by the module that is imported, and what they are for.
_EXTRAS = {
    "aio_pika": ("rabbitmq", "RabbitMQ's client"),
    "aiormq": ("rabbitmq", "RabbitMQ's client"),
    "psycopg": ("postgresql", "PostgreSQL's driver"),
    "MySQLdb": ("mariadb", "MariaDB's driver"),
}


def _what_is_missing(error: ModuleNotFoundError) -> Problem:
    """Say what is not installed: a driver, or all but the host worker; raise again what is a fault of ours."""
    name = (error.name or "").split(".")[0]
    if name in {"", __package__.split(".")[0]}:
        raise error
    why = f"the package {error.name} is missing"
    if name in _EXTRAS:
        extra, what = _EXTRAS[name]
        mend = f"dispatcher.toml asks for it: pip install 'central-dispatch[{extra}]'."
        return Problem(f"{what} is not installed here", why, mend)
    mend = "Run this on the dispatcher's machine, or install it here: pip install 'central-dispatch[portal]'."
    return Problem("The dispatcher is not installed here", why, mend)


def granted(value: T | Problem) -> T:
    """Return a value, or end the command with the problem."""
    if isinstance(value, Problem):
        raise Stop(exit_codes.FAILED, value)
    return value


def wants_json() -> bool:
    """Say whether this command was called with `--json`."""
    return bool(click.get_current_context().meta.get(_KEY))


def people() -> Console:
    """Return the screen for people: standard output, or nothing of it where a program reads."""
    file = sys.stderr if wants_json() else sys.stdout
    # Piped into grep or a file, a table's lines must not be folded at a terminal's usual 80 columns.
    return Console(file=file, highlight=False, soft_wrap=True, width=None if file.isatty() else 240)


def show(value: object, words: Callable[[Console], None]) -> None:
    """Show a result: as one JSON value, or by what `words` prints."""
    if wants_json():
        click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=_for_programs))
    else:
        words(people())


def say(value: object, sentence: str) -> None:
    """Show a result: as one JSON value, or as a sentence."""
    show(value, lambda console: console.print(printable(sentence), markup=False))


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be taken back, or end the command. `yes`: it was answered already, by --yes."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        unanswered = Problem("Nobody answered", question.rstrip("?"), "Add --yes to do it unasked.")
        raise Stop(exit_codes.FAILED, unanswered) from None
    if not agreed:
        raise Stop(exit_codes.FAILED, Problem("Nothing was done"))


class Steps:
    """Counts what a long act has done; may be shown while it goes on. Called with (done, total)."""

    def __init__(self) -> None:
        self.done = self.total = 0
        self.show: Callable[[int, int], None] = lambda _done, _total: None

    def __call__(self, done: int, total: int) -> None:
        """Note how far it is."""
        self.done, self.total = done, total
        self.show(done, total)


@contextmanager
def steps(title: str) -> Iterator[Steps]:
    """Show how far a long act is, where a person looks on. Ctrl-C ends it between two transactions, and says so."""
    counted = Steps()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task(title, total=None)
        counted.show = lambda done, total: bar.update(task, completed=done, total=total)
        try:
            yield counted
        except KeyboardInterrupt:
            why = f"at least {counted.done} of {counted.total} are done" if counted.total else "nothing was done yet"
            raise Stop(exit_codes.LEFT, Problem("Stopped by Ctrl-C", why, "Call it again for the rest.")) from None


def rows(
    values: Sequence[Mapping[str, Any]], columns: Mapping[str, str], empty: str,
    wide: Collection[str] = (), spare: Collection[str] = (),
) -> None:  # fmt: skip
    """Show a list: as JSON, or as a table whose `columns` give each key its heading.

    `wide`: see `table`; `spare`: the keys that a screen of less than 110 columns does without.
    """

    def words(console: Console) -> None:
        left_out = spare if console.width < _ROOMY else ()
        shown = {key: heading for key, heading in columns.items() if key not in left_out}
        console.print(table(values, shown, wide) if values else escape(empty))

    show(list(values), words)


def table(values: Iterable[Mapping[str, Any]], columns: Mapping[str, str], wide: Collection[str] = ()) -> Table:
    """Make a table of the named keys; a list is joined with commas.

    `wide`: the keys of running text, which give way on a narrow screen before any other column does.
    """
    made = Table(box=None, pad_edge=False, header_style="bold")
    for key, heading in columns.items():
        numbers = key in _NUMBERS
        made.add_column(
            heading, overflow="fold", no_wrap=bool(wide) and key not in wide, justify="right" if numbers else "left"
        )
    for value in values:
        made.add_row(*(escape(plain(value.get(key))) for key in columns))
    return made


def facts(pairs: Mapping[str, Any]) -> Table:
    """Make a two-column list of names and values; empty values are left out."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold")
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        if value not in (None, "", (), []):
            made.add_row(name, escape(plain(value)))
    return made


def plain(value: object) -> str:
    """Write one value for a person; a time is that of this machine's zone.

    What comes from a job or a host does not get to control the terminal.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return f"{value.astimezone():%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(item) for item in value)
    return printable(str(value))


def _for_programs(value: object) -> str:
    """Write what JSON has no form for; a time is UTC."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """Write problems for people: what and why on one line, the mend below it."""
    lines = []
    for problem in problems:
        head = f"{problem.field}: {problem.what}" if problem.field else problem.what
        lines.append(f"{head}: {problem.why}".rstrip(".") + "." if problem.why else head.rstrip(".") + ".")
        if problem.mend:
            lines.append(f"  → {problem.mend}")
    return lines


def _show_problems(exit_code: int, problems: Iterable[Problem]) -> None:
    found = list(problems)
    if wants_json():
        error = {"exit_code": exit_code, "problems": [problem.to_json() for problem in found]}
        click.echo(json.dumps({"error": error}, indent=2, ensure_ascii=False))
    else:
        console = Console(stderr=True, highlight=False, soft_wrap=True)
        for line in problem_lines(found):
            console.print(printable(line), markup=False, style="red" if not line.startswith("  ") else "")
    click.get_current_context().exit(exit_code)


def event(name: str, sentence: str, **values: object) -> None:
    """Show one thing that happened in a long command: one line of JSON, or a sentence. Seen at once."""
    # Whoever listened may be gone (a closed terminal, a pipe's end): the command still has things to stop.
    with suppress(BrokenPipeError):
        if wants_json():
            click.echo(json.dumps({"event": name, **values}, ensure_ascii=False, default=_for_programs))
        else:
            people().print(printable(sentence), markup=False)
        sys.stdout.flush()
