"""A log that loads structlog at its first event: a command without events saves that time (0.07 s of CPU time)."""

from importlib import import_module
from typing import Any

_waiting: list[tuple[int, str]] = []  # verbosity and form for structlog; empty once structlog is configured


def configure_later(verbosity: int, form: str = "") -> None:
    """Keep *verbosity* and *form*: the first event calls :func:`common.log.configure` with them."""
    _waiting[:] = [(verbosity, form)]


def load() -> None:
    """Configure structlog now, for a command whose modules use structlog directly."""
    while _waiting:
        verbosity, form = _waiting.pop()
        import_module("common.log").configure(verbosity, form=form)


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
