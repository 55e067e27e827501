"""BIND and a Pebble that asks it: all that issuing a certificate needs, in one folder."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from tests.servers.bind import Bind
from tests.servers.pebble import Pebble


class Lab:
    """Both servers, running. Describe zones on `bind`, then `bind.reconfigure()`."""

    def __init__(self, folder: Path, pebble_env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.bind = Bind(folder / "bind")
        self.pebble = Pebble(folder / "pebble", self.bind.endpoint, extra_env=pebble_env)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as starting:
            starting.enter_context(self.bind)
            starting.enter_context(self.pebble)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._running.close()
