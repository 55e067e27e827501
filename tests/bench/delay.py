"""A TCP relay that hands on every answer a little late, as a CA far away would; it understands and changes nothing.

TLS goes through it from end to end, and Pebble builds its URLs from the Host header, which names the relay's port: so
a client stays on the relay by itself. Connections are relayed side by side, in a thread of their own.
"""

import asyncio
import threading
from contextlib import suppress
from typing import Self

from tests.servers.ports import free_port, release_port

CHUNK = 65536


class DelayedRelay:
    """Listens on `port`; what comes back from `target` is handed on `delay` seconds after it came."""

    def __init__(self, target: tuple[str, int], delay: float) -> None:
        self.port = free_port()
        self._target = target
        self._delay = delay
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._ready = threading.Event()
        self._server: asyncio.Server | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(5):
            raise RuntimeError(f"the relay could not listen on port {self.port}")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        release_port(self.port)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self._ready.set()
        self._loop.run_forever()
        self._server.close()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            answers, target = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._pass_on(reader, target, 0.0), self._pass_on(answers, writer, self._delay))
        finally:
            target.close()
            writer.close()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
        """Every piece in its order, each *delay* after it came: late, but no slower than the source."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not piece:
                    break
                sink.write(piece)
                await sink.drain()
            if sink.can_write_eof():
                sink.write_eof()

        delivering = asyncio.create_task(deliver())
        piece = b"?"
        while piece:
            piece = b""
            with suppress(OSError):
                piece = await source.read(CHUNK)
            pieces.put_nowait((self._loop.time() + delay, piece))
        with suppress(OSError):
            await delivering
