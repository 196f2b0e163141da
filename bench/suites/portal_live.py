"""Live pages as browsers keep them open: a stream of hints each, and a part fetched again at every hint.

Run by `portal.py` in a process of its own: `portal_live.py URL PAGES SECONDS SESSION…`. Prints how many parts were
fetched and how long they took.
"""

import asyncio
import json
import ssl
import sys
import time
from urllib.parse import urlsplit

#: What is open, in turn, and what each listens to: as the pages' own `data-topics` and `data-gap` say.
OPEN = (
    ("/worker-manager/jobs/", "jobs", 1.0),
    ("/worker-manager/jobs/?state=in_error", "jobs", 1.0),
    ("/worker-manager/jobs/?state=running", "jobs", 1.0),
    ("/worker-manager/queues/", "queues parents", 1.0),
    ("/", "instances runs workers jobs queues parents", 1.0),
    ("/worker-manager/workers/", "parents jobs workers", 1.0),
    ("/worker-manager/jobs/?queue=ftp", "jobs", 1.0),
    ("/worker-manager/queues/subdefCreation/", "queues parents", 1.0),
)
LOOK_S = 15.0


class Page:
    """One open page."""

    def __init__(self, url: str, session: str, number: int) -> None:
        self._place = urlsplit(url)
        self._address, topics, self._gap = OPEN[number % len(OPEN)]
        self._topics = "&".join(f"topic={topic}" for topic in topics.split())
        self._cookie = f"__Host-central-dispatch={session}"
        self._hint = asyncio.Event()
        self.times: list[float] = []

    async def live(self) -> None:
        """Listen, and fetch at each hint, at most once in the page's gap; without one every 15 s."""
        listening = asyncio.create_task(self._listen())
        try:
            reader, writer = await self._connect()
            while True:
                began = time.monotonic()
                await self._fetch(reader, writer)
                self.times.append(time.monotonic() - began)
                self._hint.clear()
                await asyncio.sleep(max(0.0, began + self._gap - time.monotonic()))
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._hint.wait()
                except TimeoutError:
                    continue
        finally:
            listening.cancel()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # our own server, started a moment ago
        return await asyncio.open_connection(self._place.hostname, self._place.port, ssl=context)

    def _request(self, path: str, more: str = "") -> bytes:
        lines = f"GET {path} HTTP/1.1\r\nHost: localhost:{self._place.port}\r\nCookie: {self._cookie}\r\n{more}\r\n"
        return lines.encode()

    async def _listen(self) -> None:
        reader, writer = await self._connect()
        writer.write(self._request(f"/live?{self._topics}"))
        status = await reader.readline()
        assert b" 200 " in status, status
        while line := await reader.readline():
            if line.startswith(b"data:"):
                self._hint.set()

    async def _fetch(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self._request(self._address, "HX-Request: true\r\n"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.partition(b"\r\n")[0], head
        lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        if b"content-length" in lines:
            await reader.readexactly(int(lines[b"content-length"]))
            return
        while (size := int((await reader.readline()).strip() or b"0", 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readline()


async def main() -> None:
    """Keep them open for a while."""
    url, count, seconds, sessions = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4:]
    pages = [Page(url, sessions[number % len(sessions)], number) for number in range(count)]
    tasks = [asyncio.create_task(page.live()) for page in pages]
    await asyncio.sleep(3)  # all have come, and looked once
    for page in pages:
        page.times.clear()
    print("open", flush=True)
    done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
    times = sorted(one for page in pages for one in page.times)
    print(
        json.dumps({"fetched": len(times), "p95_ms": round(1000 * times[round(0.95 * len(times)) - 1], 1)}), flush=True
    )
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(main())
