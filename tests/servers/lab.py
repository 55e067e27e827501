"""BIND and a Pebble that asks it: all that issuing a certificate needs, in one folder."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.servers.bind import Bind
from tests.servers.pebble import Pebble


class Lab:
    """Both servers, running. Describe zones on `bind`, then `bind.reconfigure()`.

    A *shared* Pebble, which asks a BIND at its `dns`, is handed in instead of a new one: its keys take a third of a
    second to make. It keeps accounts and orders of the tests before, and each box has an account of its own.
    """

    def __init__(
        self, folder: Path, pebble_env: Mapping[str, str] | None = None, *, shared: Pebble | None = None
    ) -> None:
        self.folder = folder
        self.bind = Bind(folder / "bind", port=int(shared.dns.rpartition(":")[2]) if shared else None)
        self.pebble = shared or Pebble(folder / "pebble", self.bind.endpoint, extra_env=pebble_env)
        self._shared = shared is not None
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.bind)
            if self._shared:
                self.pebble.refresh()
            else:
                starting.enter_context(self.pebble)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._running.close()
