"""One poller per process over the change rows, and those who wait for some of them.

A commit in this process wakes the poller at once; what other processes commit is seen with the next look.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable

#: (number, topic) of a change.
Hint = tuple[int, str]
#: How often the table is looked at, in seconds, when nothing in this process wakes the poller.
PERIOD_S = 0.5
_log = logging.getLogger(__name__)


class Subscription:
    """The changes of some topics, coalesced: of each topic the latest number only."""

    def __init__(self, topics: Iterable[str]) -> None:
        self.topics = frozenset(topics)
        self._pending: dict[str, int] = {}
        self._event = asyncio.Event()

    def put(self, number: int, topic: str) -> None:
        """Note a change of one of the topics."""
        self._pending[topic] = number
        self._event.set()

    def wake(self) -> None:
        """Let the one who waits look up, with nothing to see."""
        self._event.set()

    async def take(self, timeout_s: float) -> list[Hint]:
        """Wait for changes; return them in order, or nothing after the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._event.wait()
        except TimeoutError:
            return []
        self._event.clear()
        taken = sorted((number, topic) for topic, number in self._pending.items())
        self._pending.clear()
        return taken


class Hub:
    """Hands changes to subscriptions. All methods but `wake` belong to the event loop's thread."""

    def __init__(self, look: Callable[[int | None], list[Hint]], period_s: float = PERIOD_S) -> None:
        """`look(after)` returns the changes after a number; `look(None)` the latest alone. Runs in a thread."""
        self._look = look
        self._period_s = period_s
        self._subscriptions: set[Subscription] = set()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._after = 0
        self.closed = False

    async def start(self) -> None:
        """Begin to look."""
        self._loop = asyncio.get_running_loop()
        latest = await asyncio.to_thread(self._look, None)
        self._after = latest[-1][0] if latest else 0
        self._task = asyncio.create_task(self._poll())

    async def stop(self) -> None:
        """End the poller."""
        self.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def close(self) -> None:
        """Let everybody go who waits."""
        self.closed = True
        for subscription in self._subscriptions:
            subscription.wake()

    def wake(self) -> None:
        """Look now. May be called from any thread, before the start and after the end, too."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._woken.set)

    def subscribe(self, topics: Iterable[str]) -> Subscription:
        """Begin to collect changes of these topics."""
        subscription = Subscription(topics)
        self._subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        """Stop collecting."""
        self._subscriptions.discard(subscription)

    async def _poll(self) -> None:
        while True:
            try:
                hints = await asyncio.to_thread(self._look, self._after)
            except Exception:  # noqa: BLE001 the database may be away for a while; the pages look by themselves until then
                _log.exception("the changes could not be read; looking again")
                hints = []
            self._hand_out(hints)
            try:
                async with asyncio.timeout(self._period_s):
                    await self._woken.wait()
            except TimeoutError:
                continue
            self._woken.clear()

    def _hand_out(self, hints: list[Hint]) -> None:
        for number, topic in hints:
            self._after = max(self._after, number)
            for subscription in self._subscriptions:
                if topic in subscription.topics:
                    subscription.put(number, topic)
