"""`job tail`: what a job prints, its progress and its states, while it runs. Leaving it leaves the job alone."""

import time

from rich.console import Console
from rich.live import Live
from rich.text import Text

from central_dispatch.cli import dispatcher, exit_codes, job_screen, screen
from central_dispatch.cli.job_news import Look, News, Tail
from central_dispatch.fleet.home import home_directory
from central_dispatch.jobs.ports import Store, StoreDown
from central_dispatch.stores.places import open_store
from central_dispatch.worker_manager.models import Job

__all__ = ["dispatcher"]
#: How often the job is looked at, in seconds: its worker writes what it prints about as often.
LOOK_S = 0.4


def tail(number: int, *, follow: bool) -> None:
    """Show a job's last execution so far; with `follow` until the job ends, which then gives the exit code."""
    job_screen.find(number)
    store = open_store(home_directory())
    try:
        over = _follow(number, store) if follow else _once(number, store)
    except KeyboardInterrupt:
        screen.event("left", f"The job goes on: central-dispatch job tail {number} --follow", id=number)
        raise screen.Ended(exit_codes.LEFT) from None
    finally:
        store.close()
    if follow and over.state != Job.State.FINISHED:
        raise screen.Ended(exit_codes.UNDONE)


def _once(number: int, store: Store) -> Look:
    look = _look(number, store)
    for news in Tail().news(look):
        _say(news)
    return look


def _follow(number: int, store: Store) -> Look:
    tailing = Tail()
    console = screen.people()
    if screen.wants_json() or not console.is_terminal:
        return _watch(number, store, tailing, _Plain())
    with Live(console=console, transient=True, refresh_per_second=4) as live:
        return _watch(number, store, tailing, _Terminal(live, console))


def _watch(number: int, store: Store, tailing: Tail, shown: "_Plain | _Terminal") -> Look:
    fence = 0
    while True:
        look = _look(number, store)
        if fence and look.fence != fence:
            # Another execution began meanwhile: first the last words of the one before.
            for news in tailing.printed(store.output(number, fence)):
                shown.show(news)
        fence = look.fence
        for news in tailing.news(look):
            shown.show(news)
        shown.stand(number, look)
        if look.is_over:
            shown.end()
            return look
        time.sleep(LOOK_S)


def _look(number: int, store: Store) -> Look:
    job = job_screen.find(number)
    try:
        output = store.output(number, job.fence)
    except StoreDown:
        output = b""
    return Look(
        state=job.state,
        waiting_for=job.waiting_for,
        due_at=job.due_at,
        attempts=job.attempts,
        deferrals=job.deferrals,
        fence=job.fence,
        percent=job.percent,
        words=job.words,
        error=job.error,
        output=output,
    )


def _say(news: News) -> None:
    if news.text and not screen.wants_json():
        screen.people().print(news.text, markup=False, end="")
    else:
        screen.event(news.event, news.sentence, **news.values)


class _Plain:
    """Line by line, for a file or a program."""

    def show(self, news: News) -> None:
        """Show it."""
        _say(news)

    def stand(self, _number: int, _look: Look) -> None:
        """Do nothing: there is no line that stands still."""

    def end(self) -> None:
        """Do nothing: all was shown."""


class _Terminal:
    """Output runs above one line that stands still: where the job is, and its progress."""

    def __init__(self, live: Live, console: Console) -> None:
        self._live = live
        self._console = console
        self._begun = ""  # a line that has not ended yet

    def show(self, news: News) -> None:
        """Show it; progress has its place in the standing line."""
        if news.event == "progress":
            return
        if not news.text:
            self.end()
            self._console.print(news.sentence, markup=False, style="bold")
            return
        *lines, self._begun = (self._begun + news.text).split("\n")
        for line in lines:
            self._console.print(line, markup=False)

    def stand(self, number: int, look: Look) -> None:
        """Draw the standing line."""
        percent = f"{look.percent:3.0f} % " if look.percent is not None else ""
        bar = "━" * int((look.percent or 0) / 4)
        self._live.update(
            Text.assemble((f"job {number} ", "bold"), f"{look.state} ", (bar, "green"), f" {percent}{look.words}")
        )

    def end(self) -> None:
        """Show the line that was begun."""
        if self._begun:
            self._console.print(self._begun, markup=False)
            self._begun = ""
