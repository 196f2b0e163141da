"""The broker on RabbitMQ: a thread of its own with one asyncio loop, and another that tells what was heard."""

import asyncio
import logging
import threading
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from central_dispatch.brokers.rabbitmq.consumer import Consumer
from central_dispatch.brokers.rabbitmq.link import Place
from central_dispatch.brokers.rabbitmq.listener import Listener
from central_dispatch.brokers.rabbitmq.publisher import Publisher
from central_dispatch.brokers.rabbitmq.timing import Timing
from central_dispatch.brokers.rabbitmq.trouble import Troubles
from central_dispatch.jobs.ports import DeadLetter

_log = logging.getLogger(__name__)
_START_S = 10.0


class RabbitBroker:
    """Rings and listens. Thread-safe. Connects when it is first used, and again whenever it must."""

    def __init__(self, place: Place, timing: Timing | None = None) -> None:
        self._place = place
        self._timing = timing or Timing()
        self._lock = threading.Lock()
        self._loop: _Loop | None = None
        self._hearing: _Hearing | None = None
        self._listener: Listener | None = None
        self._troubles = Troubles()
        self._closed = False

    def ring(self, queues: Collection[str]) -> None:
        """Send a bell for each queue, soon, from a thread of our own. Never blocks and never raises."""
        if queues:
            self._ask(lambda loop: loop.ring(tuple(queues)))

    def call(self, queues: Collection[str]) -> None:
        """Tell all listening parents of these queues. Never blocks and never raises."""
        if queues:
            self._ask(lambda loop: loop.call(tuple(queues)))

    def bury(self, letters: Sequence[DeadLetter]) -> None:
        """Leave copies in `<kind>_failed` until the letters expire. Never blocks and never raises."""
        if letters:
            self._ask(lambda loop: loop.bury(tuple(letters)))

    def listen(self, queues: Collection[str], heard: Callable[[str], None]) -> None:
        """Call `heard(queue)` from a thread of our own for each bell and call, until `close`.

        Returns when bells are heard, or when there is no RabbitMQ for now: they are heard as soon as it is there.
        Called again, it listens to these queues instead, and returns at once.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError("this broker is closed")
            is_first = self._hearing is None
            hearing = self._hearing = self._hearing or _Hearing()
            hearing.heard = heard
            loop = self._started()
            listener = self._listener = loop.listen(self._place, tuple(dict.fromkeys(queues)), hearing.hear)
        if is_first:
            loop.wait_until_tried(listener, self._timing.listen_s)

    def looked(self, queue: str) -> None:
        """Acknowledge the bell of that queue which the parent has heard. Never blocks and never raises."""
        listener, loop = self._listener, self._loop
        if listener is not None and loop is not None and listener.needs_look(queue):
            loop.post(listener.consumers[queue].looked)

    def problem(self) -> str:
        """Return why bells do not ring now, in one line; empty while they do, or where none was rung yet."""
        return self._troubles.first()

    def close(self) -> None:
        """Send what is rung and not sent, for a second at most, and stop. Idempotent."""
        with self._lock:
            self._closed = True
            loop, self._loop = self._loop, None
            hearing, self._hearing = self._hearing, None
        if loop is not None:
            loop.close()
        if hearing is not None:
            hearing.close()

    def _ask(self, act: "Callable[[_Loop], None]") -> None:
        try:
            with self._lock:
                if not self._closed:
                    act(self._started())
        except RuntimeError as error:  # no thread can be started, or the interpreter ends
            _log.warning("RabbitMQ cannot be told, jobs start up to a second later: %s", error)

    def _started(self) -> "_Loop":
        if self._loop is None:
            self._loop = _Loop(self._place, self._timing, self._troubles)
        return self._loop


class _Loop:
    """The thread with the asyncio loop. All methods are called from other threads."""

    def __init__(self, place: Place, timing: Timing, troubles: Troubles) -> None:
        for name in ("aiormq", "aio_pika"):
            # Whatever they log on the way is said once, and better, by `Troubles`.
            if logging.getLogger(name).level == logging.NOTSET:
                logging.getLogger(name).setLevel(logging.CRITICAL)
        self._place = place
        self._timing = timing
        self._troubles = troubles
        self._listening: asyncio.Future[None] | None = None
        self._rung: dict[str, None] = {}
        self._rung_lock = threading.Lock()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="rabbitmq", daemon=True)
        self._thread.start()
        self._started.wait(_START_S)

    def ring(self, queues: tuple[str, ...]) -> None:
        """Have bells sent."""
        with self._rung_lock:
            is_first = not self._rung
            self._rung.update(dict.fromkeys(queues))
        if is_first:
            self.post(self._ring)

    def call(self, queues: tuple[str, ...]) -> None:
        """Have all parents told."""
        self.post(lambda: self._publisher.call(queues))

    def bury(self, letters: tuple[DeadLetter, ...]) -> None:
        """Have copies sent."""
        for letter in letters:
            self.post(partial(self._publisher.bury, letter))

    def listen(self, place: Place, queues: tuple[str, ...], hear: "Callable[[Consumer | None, str], None]") -> Listener:
        """Begin to listen, in place of what was listened to before; returns at once."""

        async def make() -> Listener:
            return Listener(place, self._timing, self._troubles, self._publisher, queues, hear)

        listener = asyncio.run_coroutine_threadsafe(make(), self._asyncio).result(_START_S)
        self.post(lambda: self._listen(listener))
        return listener

    def wait_until_tried(self, listener: Listener, within_s: float) -> None:
        """Wait until bells are heard, or cannot be for now."""
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(listener.link.tried.wait(), self._asyncio).result(within_s)

    def post(self, act: Callable[[], object]) -> None:
        """Have something done in the loop, soon."""
        with suppress(RuntimeError):  # it ended just now
            self._asyncio.call_soon_threadsafe(act)

    def close(self) -> None:
        """Send what waits, and end."""
        self.post(self._over.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(2 * self._timing.close_s + 3)

    # In the loop's thread.

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except Exception:  # noqa: BLE001 whatever it is, it must be seen: from now on nothing rings
            _log.exception("the thread that speaks with RabbitMQ ended")
            self._troubles.tell("0", "the thread that speaks with RabbitMQ ended: start this process again")
        finally:
            self._started.set()

    async def _main(self) -> None:
        self._asyncio = asyncio.get_running_loop()
        self._asyncio.set_exception_handler(_pass_over)
        self._over = asyncio.Event()
        self._kept: set[asyncio.Future[None]] = set()
        self._publisher = Publisher(self._place, self._timing, self._troubles)
        self._keep(self._publisher.link.run())
        self._started.set()
        await self._over.wait()
        self._ring()
        await asyncio.sleep(0)
        await self._publisher.flush(self._timing.close_s)
        self._publisher.close()
        if kept := set(self._kept):
            for task in kept:
                task.cancel()
            await asyncio.wait(kept, timeout=2 * self._timing.close_s)

    def _listen(self, listener: Listener) -> None:
        if self._listening is not None:
            self._listening.cancel()
        self._listening = self._keep(listener.link.run())

    def _ring(self) -> None:
        with self._rung_lock:
            rung, self._rung = self._rung, {}
        for queue in rung:
            self._publisher.ring(queue)

    def _keep(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Future[None]":
        kept = asyncio.ensure_future(coroutine)
        self._kept.add(kept)
        kept.add_done_callback(self._kept.discard)
        return kept


def _pass_over(_loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    """Pass over the failed futures that the client leaves behind when a connection goes: nobody waits for them."""
    _log.debug("left behind: %s", context.get("message"), exc_info=context.get("exception"))  # type: ignore[arg-type]


class _Hearing:
    """Tells the parent what was heard, each queue once, in a thread that may be kept waiting."""

    def __init__(self) -> None:
        self.heard: Callable[[str], None] = lambda _queue: None
        self._waiting: dict[str, Consumer | None] = {}
        self._news = threading.Condition()
        self._over = False
        self._thread = threading.Thread(target=self._run, name="bells", daemon=True)
        self._thread.start()

    def hear(self, consumer: Consumer | None, queue: str) -> None:
        """Take a bell, or a call; from the loop."""
        with self._news:
            self._waiting[queue] = consumer or self._waiting.get(queue)
            self._news.notify()

    def close(self) -> None:
        """End, after the call that it is in."""
        with self._news:
            self._over = True
            self._news.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join(1.0)

    def _run(self) -> None:
        while (found := self._next()) is not None:
            for queue, consumer in found.items():
                if consumer is not None:
                    consumer.is_heard = True  # before: whoever hears may look, and say so, at once
                self._tell(queue)
                if self._over:
                    return

    def _next(self) -> "dict[str, Consumer | None] | None":
        with self._news:
            while not self._waiting and not self._over:
                self._news.wait()
            found, self._waiting = self._waiting, {}
        return None if self._over else found

    def _tell(self, queue: str) -> None:
        try:
            self.heard(queue)
        except Exception:  # noqa: BLE001 a listener's fault must not end the bells of the others
            _log.exception("a bell of %s was not taken up; the parent looks by itself within a second", queue)
