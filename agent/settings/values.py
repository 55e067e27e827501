"""Readers for single values of agent.toml and of presets. Each function turns a TOML value into a value of ours, or
raises ValueError with a sentence for people."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.model.certificate import ASK, WAYS_TO_TELL, Action, Command, Means, Roots
from agent.model.remote_host import parse_ssh_address
from agent.model.window import parse_window
from common.config import list_of, nonempty, optional, shown, text
from common.issuer_key import parse_issuer_key
from common.names import parse_name
from common.probe.target import ProbeTarget, parse_target

PARTS = ("certificate", "chain", "key")
_ACTION = re.compile(r"ask|reload|restart|SIG[A-Z0-9+-]+")
_KEYSTORES = ("pkcs12", "jks")
_LONGEST_ARGUMENT = 131_072  # bytes, MAX_ARG_STRLEN of Linux


def name(value: Any) -> str:
    """A DNS name, which may begin with a wildcard, or an IP address."""
    return parse_name(text(value))


def names(value: Any) -> tuple[str, ...]:
    """A list of DNS names and IP addresses."""
    return tuple(map(parse_name, list_of(nonempty)(value)))


def words(value: Any) -> tuple[str, ...]:
    """One text or a list of texts."""
    return (nonempty(value),) if isinstance(value, str) else tuple(list_of(nonempty)(value))


def commands(value: Any) -> tuple[Command, ...]:
    """One argument list, or a list of them: ["nginx", "-t"] or [["nginx", "-t"], ["apachectl", "configtest"]]."""
    items = value if isinstance(value, list) and all(isinstance(item, list) for item in value) else [value]
    found = tuple(tuple(list_of(_argument)(item)) for item in items)
    if any(found) and not all(found):
        raise ValueError("must not hold an empty list beside a command")
    return found if all(found) else ()  # [] and [[]] mean: no command


def on_install(value: Any) -> tuple[Means, ...]:
    """The consequences of an install, one or a list: "ask", or a way to tell people as of a failure."""
    return _means(value, (*WAYS_TO_TELL, ASK))


def on_failure(value: Any) -> tuple[Means, ...]:
    """Ways to tell people, one or a list: "syslog", "email", "reboot", or a command as an argument list."""
    if value == ASK or (isinstance(value, list) and ASK in value):
        raise ValueError('cannot hold "ask": after a failure the old files are back, and a restart shows nothing new')
    return _means(value, WAYS_TO_TELL)


def _means(value: Any, ways: Sequence[str]) -> tuple[Means, ...]:
    items = value if isinstance(value, list) else [value]
    found = [tuple(list_of(_argument)(item)) if isinstance(item, list) and item else item for item in items]
    for one in found:
        if not isinstance(one, tuple) and one not in ways:
            raise ValueError(f"must list {', '.join(ways)} or commands as lists of words, not {shown(one)}")
    return tuple(found)


def activation(value: Any) -> Action | tuple[Command, ...]:
    """An action ("reload", "restart", "SIGHUP", "ask" for a person), for which the host finds commands; or commands."""
    if not isinstance(value, str):
        return commands(value)
    if not _ACTION.fullmatch(value):
        words = '"reload", "restart", "ask", a signal like "SIGHUP", or a list of words'
        raise ValueError(f"must be {words}, not {shown(value)}")
    return value


def _argument(value: Any) -> str:
    """A text that a program can take as an argument. It may have several lines."""
    if not isinstance(value, str) or not value or "\0" in value or len(value.encode()) >= _LONGEST_ARGUMENT:
        raise ValueError(f"must be texts in quotes that a program can be given, not {shown(value)}")
    return value


def issuer_key(value: Any) -> str:
    """The public key of the issuer, in base64; "" for none."""
    if text(value):
        parse_issuer_key(value)
    return text(value)


def probes(value: Any) -> tuple[ProbeTarget, ...]:
    """One probe target or a list of them."""
    return tuple(map(parse_target, words(value)))


def probe_texts(value: Any) -> tuple[str, ...]:
    """The probe targets as texts. {name} may stand in them."""
    return tuple(target.text for target in probes(value))


host = optional(parse_ssh_address, None)
window = optional(parse_window, None)


def roots(value: Any) -> Roots:
    """ "system", "none" or a PEM file."""
    words: dict[Any, Roots] = {"system": "system", "none": "none"}
    found = words.get(nonempty(value))
    if found is None and not Path(value).is_absolute():
        raise ValueError(f'must be "system", "none" or the absolute path of a PEM file, not {shown(value)}')
    return found or Path(value)


def mode(value: Any) -> int | None:
    """A file mode like "0640"; None for ""."""
    if text(value) == "":
        return None
    if not re.fullmatch(r"0?[0-7]{3}", text(value)):
        raise ValueError(f'must be a file mode in quotes like "0640", not {shown(value)}')
    return int(value, 8)


def keystore_format(value: Any) -> str:
    """The name by which the service calls its keystore."""
    if value not in _KEYSTORES:
        raise ValueError(f"must be one of {', '.join(_KEYSTORES)}, not {shown(value)}")
    return nonempty(value)


def parts(value: Any) -> tuple[str, ...]:
    """One part of a file or a list of them, in the order in which the agent writes them."""
    found = words(value)
    unknown = [part for part in found if part not in PARTS]
    if unknown or not found:
        raise ValueError(f"must list one or more of {', '.join(PARTS)}, not {shown(value)}")
    if len(set(found)) < len(found):
        raise ValueError(f"must list each part once, not {shown(value)}")
    return found
