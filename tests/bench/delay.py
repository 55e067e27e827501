"""A TCP relay that hands on every answer a little late, as a CA far away would; it understands and changes nothing.

TLS goes through it from end to end, and Pebble builds its URLs from the Host header, which names the relay's port: so
a client stays on the relay by itself. Connections are relayed side by side, in a thread of their own.
"""

import asyncio
import threading
import time
from contextlib import suppress
from typing import Self

from tests.servers.ports import free_port, release_port

CHUNK = 65536


class DelayedRelay:
    """Listens on `port`; what comes back from `target` is handed on `delay` seconds after it came.

    At the end it closes every connection that is still open, whatever is on its way.
    """

    def __init__(self, target: tuple[str, int], delay: float) -> None:
        self.port = free_port()
        self._target = target
        self._delay = delay
        self._runner = asyncio.Runner()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._ready = threading.Event()
        self._over = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(5):
            raise RuntimeError(f"the relay could not listen on port {self.port}")
        return self

    def __exit__(self, *_exception: object) -> None:
        self._runner.get_loop().call_soon_threadsafe(self._over.set)
        self._thread.join()
        release_port(self.port)

    def _run(self) -> None:
        with self._runner as runner:  # which at its end cancels the connections and waits for them
            runner.run(self._listen())

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._ready.set()
        await self._over.wait()
        server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """No coroutine: asyncio would make the task, and print a traceback when that is cancelled."""
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = [writer]
        try:
            with suppress(OSError):  # the target is away
                answers, target = await asyncio.open_connection(*self._target)
                ends.append(target)
                await asyncio.gather(self._pass_on(reader, target, 0.0), self._pass_on(answers, writer, self._delay))
        except asyncio.CancelledError:
            for end in ends:
                end.transport.abort()  # close() would wait until the peer has read everything
            raise
        finally:
            for end in ends:
                end.close()

    async def _pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, delay: float) -> None:
        """Every piece in its order, each *delay* after it came: late, but no slower than the source."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            while True:
                due, piece = await pieces.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
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
            pieces.put_nowait((time.monotonic() + delay, piece))
        with suppress(OSError):
            await delivering
