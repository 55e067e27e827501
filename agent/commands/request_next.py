"""request --next: makes the key that is to take the place of the live one, and the CSR for the issuer."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from agent.commands.request import document, left_out, only_name, tell
from agent.commands.run import refuse_directors
from agent.commands.wiring import further_names, real_key, selected_of, tools_at_work
from agent.host.presence import presence
from agent.journey.due import found_in_files
from agent.journey.next_key import drop_spent, is_open
from agent.journey.ports import Turn
from agent.journey.request import Request, Requested
from agent.journey.request import request as make
from agent.journey.run import settle_all
from agent.model.certificate import Certificate, file_stem
from agent.model.host_key import KEY_TYPES, HostKey
from agent.model.remote_host import SshAddress
from agent.model.result import Result
from agent.settings.config import load_settings
from common.certificate import certified_names
from common.command_line import report
from common.errors import RefusedError, UsageError

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
    refuse_directors(arguments, settings.state_dir)
    (certificate,) = selected_of([only_name(arguments.name)], certificates, arguments.config)
    csr_file = None if arguments.csr == "-" else Path(arguments.csr or f"{file_stem(certificate.name)}.next.csr")
    wanted = Request((), certificate.next_key, arguments.key_type, csr_file.absolute() if csr_file else None)
    with tools_at_work(settings, certificates, arguments.config, doing="request --next") as tools:
        broken = settle_all(tools)
        turn = Turn(certificate, tools.state.record(certificate.name), tools.on(certificate.host))
        _refuse_unsettled(turn, broken)
        _refuse_shared(turn, certificates)
        wanted, made = _made(turn, wanted, further_names(arguments.san))
    if arguments.json:
        report(document(certificate.name, wanted, made))
    else:
        left = left_out(certificate.name, wanted.names)
        tell(wanted, made, [*left, f"next {_next_step(certificate.name, wanted)}"])
    return 0


def _refuse_unsettled(turn: Turn, broken: Sequence[Result]) -> None:
    """RefusedError while an install of it is still to be brought back: its way back may be by the key before."""
    for result in broken:
        if result.name == turn.certificate.name:
            what = f"no next key is made for {result.name}"
            raise RefusedError(what, why=result.detail, hint=result.hint or "`certfleet-agent run` brings it back")


def _refuse_shared(turn: Turn, certificates: Sequence[Certificate]) -> None:
    """RefusedError where others have the same key. Raises HostLost."""
    certificate = turn.certificate
    real = real_key(certificate.key, turn.tools.files)
    others = (one for one in certificates if one.name != certificate.name and _place(one) == _place(certificate))
    for other in others:
        if real_key(other.key, turn.tools.files) == real:
            why = f"{other.name} has the same key, {certificate.key}, and would not fit any more"
            hint = f"{_HINT.format(name=quote(certificate.name))}; or for both, each with --key NEW"
            raise RefusedError(f"no next key is made for {certificate.name}", why=why, hint=hint)


def _place(certificate: Certificate) -> SshAddress | None:
    return certificate.host.address if certificate.host is not None else None


def _made(turn: Turn, wanted: Request, further: Sequence[str]) -> tuple[Request, Requested]:
    """For all names that agent.toml, the certificate in place and the command line have, without a label, and a new key
    of the present one's type."""
    certificate, keys = turn.certificate, turn.tools.keys
    live = keys.load(certificate.key)
    if is_open(turn):
        why = f"others than root can put files of their own into {certificate.key.parent}"
        hint = _HINT.format(name=quote(certificate.name))
        raise RefusedError(f"no next key is made for {certificate.name}", why=why, hint=hint)
    drop_spent(turn, live)
    in_place = found_in_files(turn, live)
    present = sorted(certified_names(in_place.leaf)) if in_place is not None else []
    known = sorted(certificate.names)
    first = known if certificate.is_label and certificate.name not in present else [certificate.name]
    names = tuple(dict.fromkeys([*first, *further, *known, *present]))
    key_type = wanted.key_type or ("" if keys.is_there(wanted.key_file) else _type_like(live))
    full = Request(names, wanted.key_file, key_type, wanted.csr_file)
    return full, make(full, keys)


def _type_like(live: HostKey) -> str:
    """The type of the *live* key. Raises RefusedError for one that is not made here, as a curve of another program."""
    if live.key_type not in KEY_TYPES and not live.key_type.startswith("rsa"):
        hint = f"`--key-type` names another: {', '.join(KEY_TYPES)}"
        raise RefusedError(f"no key of type {live.key_type} is made, as the live one is", hint=hint)
    return live.key_type


def _next_step(name: str, wanted: Request) -> str:
    csr = wanted.csr_file or "-"
    return f"on the issuer: certfleet-issuer populate --replace {name} --csr {csr}; until then the present key stays"
