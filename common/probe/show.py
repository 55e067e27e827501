"""The command `probe` of both sides: shows which certificates live sockets serve, once or round by round."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.command_line import report, say
from common.errors import ConfigError, Finding, UsageError
from common.files import write_atomic
from common.monitoring import as_plugin
from common.nagios import State
from common.probe.document import whole
from common.probe.plugin import plugin_line, textfile
from common.probe.shown import Shown
from common.probe.survey import survey
from common.probe.tally import Tally
from common.probe.target import ProbeTarget, parse_target
from common.probe.verdict import Lookup
from common.probe.words import lines

if TYPE_CHECKING:
    import argparse

_HOST = re.compile("[a-z0-9_.-]{1,253}")
_EVERY = 60.0  # seconds from one round to the next


def show(arguments: argparse.Namespace, lookup: Lookup) -> int:
    """Look at every target, as often as is asked. Exit code 1 unless every address has shown, each time, a certificate
    that is valid then for its host and not revoked; with --nagios that of the plugin's state. *lookup*: what the
    database has. Raises ConfigError for what is no target, FileError."""
    if arguments.nagios:
        if arguments.json or arguments.repeat > 1 or arguments.every is not None:
            raise UsageError("--nagios is one look and one line", hint="leave --json, --repeat and --every out")
        return as_plugin("probe", lambda: _plugin(arguments, lookup))
    if arguments.every is not None and arguments.repeat == 1:
        raise UsageError("--every is for --repeat", hint="`--repeat 60 --every 1m` looks for an hour")
    targets, names, every = list(map(_target, arguments.target)), _names(arguments.sni), arguments.every or _EVERY
    tally, shown, now = Tally(), list[Shown](), time.time()
    try:
        for number in range(arguments.repeat):
            began, now = time.monotonic(), time.time()
            shown = survey(targets, names, lookup, now)
            failed = tally.add(shown, now)
            _keep(shown, arguments.textfile, now)
            if arguments.repeat > 1 and not arguments.json:
                say(*map(str, failed))
            if number + 1 < arguments.repeat:
                time.sleep(max(0.0, every - (time.monotonic() - began)))
    except KeyboardInterrupt:  # it ends an hour of looks early, and what was seen counts
        if not tally.rounds:
            raise
    return _tell(tally, shown, arguments, now)


def _tell(tally: Tally, shown: Sequence[Shown], arguments: argparse.Namespace, now: float) -> int:
    rounds = arguments.repeat > 1
    if arguments.json:
        report(whole(shown, now) | (tally.document() if rounds else {}))
    else:
        say(*lines(shown, now), *(["", *tally.lines()] if rounds else []))
    return 1 if tally.failures else 0


def _plugin(arguments: argparse.Namespace, lookup: Lookup) -> tuple[State, str]:
    now = time.time()
    shown = survey(list(map(_target, arguments.target)), _names(arguments.sni), lookup, now)
    _keep(shown, arguments.textfile, now)
    return plugin_line(shown, now)


def _keep(shown: Sequence[Shown], file: Path | None, now: float) -> None:
    if file is None:
        return
    if os.path.islink(file) or (os.path.exists(file) and not os.path.isfile(file)):  # /dev/stdout would be replaced
        raise UsageError(f"{file} is no regular file", hint="name a file below the folder of the textfile collector")
    write_atomic(file, textfile(shown, now))


def _target(text: str) -> ProbeTarget:
    try:
        return parse_target(text if "://" in text else f"https://{text}")
    except ValueError as error:
        raise ConfigError("probe", [Finding("", str(error))], hint="docs/probe.md has the forms of a target") from error


def _names(text: str) -> list[str]:
    """The names of --sni."""
    names = [name.lower() for name in text.split(",") if name]
    if wrong := [name for name in names if not _HOST.fullmatch(name)]:
        raise UsageError(f"{wrong[0]!r} is no name of a host", hint="write --sni www.example.com,mail.example.com")
    return names
