"""request --next: makes the key that is to take the place of the live one, and the CSR for the issuer."""

import argparse
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from agent.commands.request import document, only_name, tell
from agent.commands.run import refuse_directors
from agent.commands.wiring import LocalTools, further_names, selected_of
from agent.host.presence import presence
from agent.journey.due import found_in_files
from agent.journey.next_key import drop_spent, is_open
from agent.journey.ports import Turn
from agent.journey.request import Request, Requested
from agent.journey.request import request as make
from agent.journey.run import settle_all
from agent.model.certificate import Certificate, file_stem
from agent.settings.config import load_settings
from common.certificate import certified_names
from common.command_line import report
from common.errors import RefusedError, UsageError
from common.files import locked

_HINT = (
    "give the new key a file of its own: `certfleet-agent request {name} --key NEW --csr FILE`, then on the issuer "
    "`certfleet-issuer populate --replace {name} --csr FILE`; when that has its certificate, name NEW as `key` in "
    "agent.toml and in the service's configuration, and run the agent: until then the present pair is served"
)


def request_next(arguments: argparse.Namespace) -> int:
    """Make the next key and its CSR for NAME, each unless it exists. Exit code 3 while a run is under way."""
    if arguments.key or arguments.interim:
        raise UsageError("--next has no use for --key or --interim: the next key lies beside the live one")
    settings, certificates = load_settings(arguments.config, presence)
    refuse_directors(arguments)
    (certificate,) = selected_of([only_name(arguments.name)], certificates, arguments.config)
    place = _place(certificate, certificates)
    csr_file = None if arguments.csr == "-" else Path(arguments.csr or f"{file_stem(certificate.name)}.next.csr")
    wanted = Request((), place, arguments.key_type, csr_file.absolute() if csr_file else None)
    with closing(LocalTools(settings, certificates, arguments.config, retry=False)) as tools:
        tools.folder.create()
        with locked(tools.folder.lock_file, doing="request --next"):
            settle_all({one.name: one for one in certificates}, tools)
            turn = Turn(certificate, tools.state.record(certificate.name), tools)
            wanted, made = _made(turn, wanted, further_names(arguments.san))
    if arguments.json:
        report(document(certificate.name, wanted, made))
    else:
        tell(wanted, made, [f"next {_next_step(certificate.name, wanted)}"])
    return 0


def _place(certificate: Certificate, certificates: Sequence[Certificate]) -> Path:
    """The file of the next key. Raises RefusedError where a key cannot be changed with one certificate."""
    what, hint = f"no next key is made for {certificate.name}", _HINT.format(name=certificate.name)
    if certificate.next_key is None:
        raise RefusedError(what, why="its key is on another host, and is never read here", hint=hint)
    real = os.path.realpath(certificate.key)
    for other in certificates:
        if other.host is None and other.name != certificate.name and os.path.realpath(other.key) == real:
            why = f"{other.name} has the same key, {certificate.key}, and would not fit any more"
            raise RefusedError(what, why=why, hint=f"{hint}; or for both, each with --key NEW")
    return certificate.next_key


def _made(turn: Turn, wanted: Request, further: Sequence[str]) -> tuple[Request, Requested]:
    """For all names that agent.toml, the certificate in place and the command line have, and a new key of the present
    one's type."""
    certificate, keys = turn.certificate, turn.tools.keys
    live = keys.load(certificate.key)
    if is_open(turn):
        why = f"others than root can put files of their own into {certificate.key.parent}"
        hint = _HINT.format(name=certificate.name)
        raise RefusedError(f"no next key is made for {certificate.name}", why=why, hint=hint)
    drop_spent(turn, live)
    in_place = found_in_files(turn, live)
    present = sorted(certified_names(in_place.leaf)) if in_place is not None else []
    names = tuple(dict.fromkeys([certificate.name, *further, *sorted(certificate.names), *present]))
    key_type = wanted.key_type or ("" if keys.is_there(wanted.key_file) else live.key_type)
    full = Request(names, wanted.key_file, key_type, wanted.csr_file)
    return full, make(full, keys)


def _next_step(name: str, wanted: Request) -> str:
    csr = wanted.csr_file or "-"
    return f"on the issuer: certfleet-issuer populate --replace {name} --csr {csr}; until then the present key stays"
