import asyncio
import threading

from central_dispatch.portal.live.hub import Hint, Hub

FOREVER_S = 600


class Table:
    """Change rows in a list."""

    def __init__(self) -> None:
        self.rows: list[Hint] = [(1, "old")]
        self.fails = 0

    def look(self, after: int | None) -> list[Hint]:
        if self.fails:
            self.fails -= 1
            raise OSError("the database is away")
        return self.rows[-1:] if after is None else [row for row in self.rows if row[0] > after]


def test_a_wake_from_another_thread_is_seen_at_once_and_coalesced_per_topic() -> None:
    async def scenario() -> None:
        table = Table()
        hub = Hub(table.look, period_s=FOREVER_S)
        hub.wake()
        await hub.start()
        mine, other = hub.subscribe(["a", "b"]), hub.subscribe(["c"])
        table.rows += [(2, "a"), (3, "b"), (4, "a")]
        threading.Thread(target=hub.wake).start()
        assert await mine.take(FOREVER_S) == [(3, "b"), (4, "a")]
        assert await other.take(0.001) == []
        await hub.stop()

    asyncio.run(scenario())


def test_what_another_process_wrote_is_seen_with_the_next_look() -> None:
    async def scenario() -> None:
        table = Table()
        hub = Hub(table.look, period_s=0.001)
        await hub.start()
        mine = hub.subscribe(["a"])
        table.rows.append((2, "a"))
        assert await mine.take(FOREVER_S) == [(2, "a")]
        await hub.stop()

    asyncio.run(scenario())


def test_a_database_that_is_away_for_a_while_ends_nothing() -> None:
    async def scenario() -> None:
        table = Table()
        hub = Hub(table.look, period_s=0.001)
        await hub.start()
        mine = hub.subscribe(["a"])
        table.fails = 3
        table.rows.append((2, "a"))
        assert await mine.take(FOREVER_S) == [(2, "a")]
        await hub.stop()

    asyncio.run(scenario())


def test_closing_lets_everybody_go_and_leaving_stops_the_collecting() -> None:
    async def scenario() -> None:
        table = Table()
        hub = Hub(table.look, period_s=FOREVER_S)
        await hub.start()
        gone = hub.subscribe(["a"])
        hub.leave(gone)
        waiting = asyncio.create_task(hub.subscribe(["a"]).take(FOREVER_S))
        await asyncio.sleep(0)
        hub.close()
        assert await waiting == []
        assert hub.closed
        table.rows.append((2, "a"))
        hub.wake()
        await asyncio.sleep(0.01)
        assert await gone.take(0.001) == []
        await hub.stop()

    asyncio.run(scenario())
