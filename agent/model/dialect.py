"""``[stapling]`` of a preset: by which words its service is told about stapling. The readers know syntax alone.

It has a module of its own because every run reads presets, and only `check` reads the configuration of a service.
"""

from typing import Any

from common.config import list_of, nonempty, setting, text
from common.dataclasses import dataclass

_SYNTAXES = ("sections", "braces", "lines")


def _syntax(value: Any) -> str:
    if text(value) not in _SYNTAXES:
        raise ValueError(f"must be one of {', '.join(_SYNTAXES)}")
    return text(value)


def _table(value: Any) -> tuple[tuple[str, str], ...]:
    """A table of texts."""
    if not isinstance(value, dict):
        raise ValueError("must be a table of texts")
    return tuple((key, nonempty(one)) for key, one in value.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """``[stapling]`` of a preset: the words of a service's configuration.

    *syntax*: "sections" (``<Name …>`` around lines), "braces" (``name … { }``, ends with ``;``) or "lines". *show*: the
    command by which the service shows its configuration, {program} as in other commands; *named_by*: the option of
    `check` behind which each file is named, for a service that shows none. *site*, *name*: the block of a virtual
    server and the directive with its name. *engine*: the directive that turns TLS on, "" where a certificate does.

    *certificate*, *chain*, *switch*, *responder*, *timeout*, *staple*, *cache*, *log*: the directives for these; "" for
    one that the service does not have. *beside*: the end of the name of a staple's file that lies beside the
    certificate. *starts_without_cache*: false if the service does not start without one. *cache_module*: the module
    that a cache needs, with {kind}. *advised*: directives with the value that keeps a site up while the responder is
    away. *symptoms*: a word of the error log, and its meaning; *log_time*: how a line begins with its moment, as in
    strptime(3).
    """

    syntax: str = setting(_syntax, "sections")
    show: tuple[str, ...] = setting(list_of(nonempty), ())
    named_by: str = setting(text, "")
    site: str = setting(text, "")
    name: str = setting(text, "")
    engine: str = setting(text, "")
    certificate: str = setting(text, "")
    chain: str = setting(text, "")
    switch: str = setting(text, "")
    responder: str = setting(text, "")
    timeout: str = setting(text, "")
    staple: str = setting(text, "")
    beside: str = setting(text, "")
    cache: str = setting(text, "")
    cache_module: str = setting(text, "")
    log: str = setting(text, "")
    log_time: str = setting(text, "")
    advised: tuple[tuple[str, str], ...] = setting(_table, ())
    symptoms: tuple[tuple[str, str], ...] = setting(_table, ())
