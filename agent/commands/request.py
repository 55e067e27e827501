"""request: makes the key of a certificate on this host, and the CSR for the issuer."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from agent.commands.run import refuse_directors
from agent.commands.wiring import further_names, keys_on, name_in, tools_at_work
from agent.journey.interim import interim
from agent.journey.ports import Turn
from agent.journey.request import Request, Requested
from agent.journey.request import request as make
from agent.model.certificate import Certificate, file_stem
from agent.settings.config import load_settings
from agent.settings.places import DEFAULT_FILE
from common.command_line import report
from common.errors import UsageError


def request(arguments: argparse.Namespace) -> int:
    """Make the key and the CSR for NAME, each unless it exists."""
    name = name_in(only_name(arguments.name))
    entry = _configured(arguments.config, name)
    if entry is not None:
        refuse_directors(arguments, None)
    known = sorted(entry.names) if entry else []
    first = known if entry is not None and entry.is_label else [name]
    names = tuple(dict.fromkeys([*first, *further_names(arguments.san), *known]))
    stem = file_stem(name)
    key_file = (arguments.key or (entry.key if entry else Path("/etc/ssl/private") / f"{stem}.key")).absolute()
    csr_file = None if arguments.csr == "-" else Path(arguments.csr or f"{stem}.csr").absolute()
    wanted = Request(names, key_file, arguments.key_type, csr_file)
    if arguments.interim and (entry is None or entry.key != key_file):
        hint = "--interim makes the files that agent.toml names, for the key that it names"
        raise UsageError(f"{name} is not configured with the key {key_file}", hint=hint)
    with keys_on(entry.host if entry else None) as keys:
        made = make(wanted, keys)
    stand_ins = _interim(arguments.config, name) if arguments.interim else []
    if arguments.json:
        report({**document(name, wanted, made), "interim": list(map(str, stand_ins))})
    else:
        unknown = f"note {name} is not in {arguments.config} yet: no run takes a certificate for it before"
        notes = [unknown] if entry is None and arguments.config.exists() else []
        notes += left_out(name, names)
        tell(wanted, made, [*(f"interim {file} (self-signed)" for file in stand_ins), *notes])
    return 0


def only_name(names: Sequence[str]) -> str:
    """The one word of *names*. Raises UsageError for several, which may be meant for one certificate or for several."""
    first, *others = names
    if others:
        hint = f"for one certificate with all these names: `request {first} --san {' '.join(others)}`;"
        raise UsageError("a request is for one certificate", hint=f"{hint} for several: one request for each")
    return first


def _interim(config: Path, name: str) -> list[Path]:
    settings, certificates = load_settings(config)
    (certificate,) = (one for one in certificates if one.name == name)
    with tools_at_work(settings, certificates, config, doing="request --interim") as tools:
        return interim(Turn(certificate, tools.state.record(name), tools.on(certificate.host)))


def _configured(config: Path, name: str) -> Certificate | None:
    """The entry for *name* in agent.toml, or None. A new host has no agent.toml, and `request` does not need it."""
    if config == Path(DEFAULT_FILE) and not os.path.exists(config):
        return None
    _, certificates = load_settings(config)
    return next((one for one in certificates if one.name == name), None)


def left_out(name: str, names: Sequence[str]) -> list[str]:
    """A note where the *names* of a CSR are without the *name* of its entry in agent.toml, which may be a label."""
    cure = f"`--san {quote(name)}` adds it"
    return [] if name in names else [f"note {name} is not among `names` in agent.toml: the CSR is not for it; {cure}"]


def document(name: str, wanted: Request, made: Requested) -> dict[str, object]:
    """The facts for --json."""
    return {
        "name": name,
        "names": wanted.names,
        "key": str(wanted.key_file),
        "key_created": made.key_created,
        "key_type": made.key.key_type,
        "spki_sha256": made.key.spki_sha256,
        "csr": str(wanted.csr_file) if wanted.csr_file else None,
        "csr_written": made.csr_written,
        "csr_pem": made.csr_pem.decode(),
    }


def tell(wanted: Request, made: Requested, more: Sequence[str]) -> None:
    """Tell what was made, and *more*. With `--csr -` only the CSR is on standard output, and can be piped to the
    issuer."""
    out = sys.stdout if wanted.csr_file else sys.stderr
    out.write(f"key {wanted.key_file} ({made.key.key_type}, {'new' if made.key_created else 'kept as it was'})\n")
    if wanted.csr_file is None:
        sys.stdout.write(made.csr_pem.decode())
    else:
        fate = "written" if made.csr_written else "was there already"
        out.write(f"csr {wanted.csr_file} ({fate}) for {', '.join(wanted.names)}\n")
    out.write(f"key's SHA-256 {made.key.spki_sha256}\n")
    out.writelines(f"{line}\n" for line in more)
