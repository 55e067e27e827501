"""Logging set-up: structlog on stderr; console form on a terminal, JSON otherwise; the local syslog on request.

Event names are fixed words with dots ("order.opened"); everything that varies is a field. Tracebacks never print
local variables, because those may hold secrets.
"""

import logging
import logging.handlers
import os
import sys
import textwrap

import structlog

from common.text import one_line, printable, storable

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3}
_LONGEST_LINE = 2000  # characters; a syslog datagram has an end


def configure(verbosity: int, *, form: str = "", syslog: "Syslog | None" = None) -> None:
    """Send events to stderr. *verbosity*: -1 errors only, 0 warnings, 1 information, 2 everything. *form* is "console",
    "json", "logfmt" or "plain", which is for people who read a journal; by default console on a terminal and JSON
    elsewhere. With *syslog* each event goes there too, in
    one line."""
    level = {-1: logging.ERROR, 0: logging.WARNING, 1: logging.INFO}.get(verbosity, logging.DEBUG)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            *([syslog.copy] if syslog is not None else []),
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(form or ("console" if sys.stderr.isatty() else "json")),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


class Syslog:
    """The local syslog as *program*. An absent syslog is no error; it is said once on stderr."""

    def __init__(self, program: str, address: str = "/dev/log"):
        self._address = address
        self._handler = _Handler(address, facility=logging.handlers.SysLogHandler.LOG_DAEMON)
        self._handler.ident = f"{program}[{os.getpid()}]: "
        self._handler.append_nul = False
        self._said = False

    def send(self, level: int, text: str) -> None:
        """One line at one of logging's levels."""
        line = storable(text, _LONGEST_LINE)
        self._handler.lost = False
        self._handler.handle(logging.LogRecord("certfleet", level, "", 0, "%s", (line,), None))
        if self._handler.lost and not self._said:
            self._said = True
            structlog.get_logger().warning("syslog.absent", socket=self._address)

    def copy(
        self, logger: structlog.typing.WrappedLogger, method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        """A structlog processor: returns its event unchanged and sends it as logfmt."""
        if event.get("event") != "syslog.absent":
            shown = structlog.processors.format_exc_info(logger, method, dict(event))
            line = structlog.processors.LogfmtRenderer(key_order=["level", "event"])(
                logger, method, _escaped(logger, method, shown)
            )
            self.send(_LEVELS.get(str(event.get("level")), logging.ERROR), str(line))
        return event

    def close(self) -> None:
        self._handler.close()


class _Handler(logging.handlers.SysLogHandler):
    """A handler that notes a loss where logging's own prints a traceback."""

    lost = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        self.lost = True


def _escaped(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """A structlog processor: foreign text cannot steer a terminal, nor look like a line of ours. Only a traceback has
    lines, and they are indented."""
    escape = {"exception": lambda trace: textwrap.indent(printable(trace), "  ", lambda _: True)}
    return {key: escape.get(key, one_line)(value) if isinstance(value, str) else value for key, value in event.items()}


def _renderers(form: str) -> list[structlog.typing.Processor]:
    plain = structlog.processors.format_exc_info
    if form == "console":
        return [plain, _escaped, structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    if form == "logfmt":
        return [plain, _escaped, structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"])]
    if form == "plain":
        return [plain, _escaped, _sentence]
    return [plain, structlog.processors.JSONRenderer()]  # escapes by itself


def _sentence(logger: structlog.typing.WrappedLogger, method: str, event: structlog.typing.EventDict) -> str:
    """A structlog renderer: a line as people read it in a journal, which has time and program in a column of its own.
    Where systemd listens, the line begins with its priority (sd-daemon(3))."""
    facts = {key: value for key, value in event.items() if key not in ("event", "level", "timestamp", "exception")}
    level = str(event.get("level"))
    words = "" if level in ("info", "debug") else f"{level}: "
    priority = f"<{_PRIORITIES.get(level, 3)}>" if "JOURNAL_STREAM" in os.environ else ""
    line = f"{priority}{words}{event.get('event')} {structlog.processors.LogfmtRenderer()(logger, method, facts)}"
    trace = event.get("exception")
    return line.rstrip() + (f"\n{trace}" if trace else "")
