"""A log that loads structlog at its first event: a command without events saves that time (0.07 s of CPU time)."""

from importlib import import_module
from typing import Any

_waiting: list[int] = []  # the verbosity for structlog; empty once structlog is configured


def configure_later(verbosity: int) -> None:
    """Keep *verbosity*: the first event calls :func:`common.log.configure` with it."""
    _waiting[:] = [verbosity]


def load() -> None:
    """Configure structlog now, for a command whose modules use structlog directly."""
    while _waiting:
        import_module("common.log").configure(_waiting.pop())


class LateLog:
    """Events are fixed words with dots ("record.damaged"); everything that varies is a field."""

    def info(self, event: str, **fields: Any) -> None:
        """An event that is shown with -v."""
        load()
        import_module("structlog").get_logger().info(event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """An event that is shown without -q."""
        load()
        import_module("structlog").get_logger().warning(event, **fields)
