"""How queues, and the whole Worker Manager's configuration, are shown. Imports Django's side."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape

from central_dispatch.cli import places, queue_workers, screen
from central_dispatch.configuration import read_configuration
from central_dispatch.jobs.queue_settings import QueueSettings
from central_dispatch.worker_manager import queries
from central_dispatch.worker_manager.queries import QueueView


def _between(one: QueueSettings) -> str:
    if one.backoff == "fixed":
        return f"{one.retry_delay_s:g} s"
    return f"{one.retry_delay_s:g} s, twice as long each time, {one.max_retry_delay_s:g} s at most, with jitter"


#: Settings that are shown on one line: the heading, and the words with what the settings hold.
_LINES: tuple[tuple[str, tuple[str, ...], Callable[[QueueSettings], str]], ...] = (
    ("Attempts", ("max_attempts",), lambda one: f"{one.max_attempts}, then it is in error"),
    ("Between them", ("retry_delay_s", "backoff", "max_retry_delay_s"), _between),
    (
        "Deferred",
        ("deferral_delay_s", "max_deferrals"),
        lambda one: f"comes back after {one.deferral_delay_s:g} s, {one.max_deferrals} times in a row at most",
    ),
    ("Period", ("period_s",), lambda one: f"every {one.period_s:g} s" if one.period_s is not None else "none"),
    (
        "Time limit",
        ("time_limit_s", "grace_s"),
        lambda one: f"{one.time_limit_s:g} s; whoever is told to end has {one.grace_s:g} s",
    ),
    ("At a time", ("concurrency",), lambda one: str(one.concurrency) if one.concurrency else "no limit"),
    ("Dead letters", ("retention_h",), lambda one: f"kept {one.retention_h:g} h"),
    ("Paused", ("paused",), lambda one: "yes" if one.paused else "no"),
)


def to_json(one: QueueView) -> dict[str, Any]:
    """Return a queue as `--json` prints it. `changed`: the settings that are not its kind's own."""
    settings, defaults = asdict(one.settings), asdict(one.kind.defaults)
    return {
        "queue": one.name,
        "waiting": one.waiting,
        "running": one.running,
        "in_error": one.in_error,
        "paused": one.settings.paused,
        "last_run_at": one.last_run_at,
        "next_run_at": one.next_run_at,
        "says": one.kind.says,
        "aliases": list(one.kind.aliases),
        "settings": settings,
        "changed": [name for name in settings if settings[name] != defaults[name]],
    }


def write_queue(console: Console, one: QueueView) -> None:
    """Print a queue with its settings; those that were changed say what they were."""
    console.print(f"[bold]{escape(one.name)}[/bold]  {escape(one.kind.says)}")
    holds = f"{one.waiting} waiting, {one.running} running, {one.in_error} in error"
    pairs: dict[str, Any] = {"  Holds": holds}
    for heading, names, words in _LINES:
        text = words(one.settings)
        is_changed = any(getattr(one.settings, name) != getattr(one.kind.defaults, name) for name in names)
        pairs[f"  {heading}"] = f"{text}  (changed; its own: {words(one.kind.defaults)})" if is_changed else text
    pairs |= {"  Last run": one.last_run_at, "  Next run": one.next_run_at}
    console.print(screen.facts(pairs))


def show_queue(name: str) -> None:
    """Show one queue, and who serves it."""
    [found] = [one for one in queries.queues() if one.name == name]
    serving = [one for one in queue_workers.views() if name in one["queues"]]

    def words(console: Console) -> None:
        write_queue(console, found)
        console.print()
        console.print(queue_workers.table(serving) if serving else f"No queue worker serves {name}.")

    screen.show(to_json(found) | {"workers": serving}, words)


def show_list() -> None:
    """List all queues."""
    values = [to_json(one) for one in queries.queues()]
    columns = {"queue": "Queue", "waiting": "Waiting", "running": "Running", "in_error": "In error"}
    more = {"paused": "Paused", "next_run_at": "Next run", "says": "What it does"}
    screen.rows(values, columns | more, "There is no queue.", ("says",), ("says",))


def show_configuration() -> None:
    """Show where jobs and bells are kept, who works, and every queue. A password is named by its file alone."""
    found = queries.queues()
    workers = queue_workers.views()
    places_of = _places()

    def words(console: Console) -> None:
        console.print(screen.facts(places_of))
        console.print()
        console.print(queue_workers.table(workers) if workers else queue_workers.EMPTY)
        for one in found:
            console.print()
            write_queue(console, one)

    value = {"places": places_of, "workers": workers, "queues": [to_json(one) for one in found]}
    screen.show(value, words)


def _places() -> dict[str, str]:
    home = places.home_directory()
    configured = read_configuration(home)
    database, broker = configured.database, configured.broker
    return {
        "Home": str(home),
        "Database": "SQLite, in the home directory"
        if database.engine == "sqlite"
        else f"{database.engine} at {database.place}, database {database.name}, user {database.user}"
        + _password(database.password_file),
        "Broker": "embedded, on this machine"
        if broker.kind == "embedded"
        else f"{broker.kind} at {broker.place}, virtual host {broker.virtual_host}, user {broker.user}"
        + _password(broker.password_file),
    }


def _password(file: object) -> str:
    return f", password in {file}" if file else ", no password"
