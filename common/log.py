"""Logging set-up: structlog on stderr; console form on a terminal, JSON otherwise.

Event names are fixed words with dots ("order.opened"); everything that varies is a field. Tracebacks never print
local variables, because those may hold secrets.
"""

import logging
import sys

import structlog


def configure(verbosity: int, *, form: str = "") -> None:
    """Send events to stderr. *verbosity*: -1 errors only, 0 warnings, 1 information, 2 everything.

    *form* is "console", "json" or "logfmt"; by default console on a terminal and JSON elsewhere.
    """
    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(form or ("console" if sys.stderr.isatty() else "json")),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _renderers(form: str) -> list[structlog.typing.Processor]:
    plain = structlog.processors.format_exc_info
    if form == "console":
        return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    if form == "logfmt":
        return [plain, structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])]
    return [plain, structlog.processors.JSONRenderer()]
