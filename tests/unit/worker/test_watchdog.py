"""The watchdog: what stands still is noticed, what only waited with everybody else is not."""

import math
import threading
import time

from central_dispatch.worker.watchdog import EXIT_CODE, Watchdog, standing


def test_what_has_not_turned_for_too_long_stands_and_a_dead_thread_does_at_once() -> None:
    turned = {"loop": 100.0, "clerk": 90.0, "beat": -math.inf}
    assert standing(turned, 10.0, 100.0) == ["beat"]
    assert standing(turned, 10.0, 100.1) == ["clerk", "beat"]


def test_the_process_is_ended_when_one_of_them_stands() -> None:
    ended: list[int] = []
    over = threading.Event()
    begun = time.monotonic()

    def end(code: int) -> None:
        ended.append(code)
        over.set()

    Watchdog({"moves": time.monotonic, "stands": lambda: begun}, 0.2, end).start()
    assert over.wait(20)
    assert ended == [EXIT_CODE]


def test_what_turns_is_left_alone_and_so_is_an_end_that_comes() -> None:
    ended: list[int] = []
    looks = threading.Semaphore(0)

    def turned() -> float:
        looks.release()
        return time.monotonic()

    watchdog = Watchdog({"moves": turned}, 0.04, ended.append)
    watchdog.start()
    for _ in range(10):
        assert looks.acquire(timeout=20)
    watchdog.watch_closing()
    watchdog.stop()
    assert ended == []
