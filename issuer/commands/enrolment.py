"""populate, enable, disable, remove."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from common.command_line import complain, say
from common.config_file import load
from common.errors import RefusedError, UsageError
from common.files import read_regular
from common.names import parse_name
from issuer.commands.challenge_types import ways
from issuer.model.config import Settings
from issuer.model.enrolment import DNS, Enrolment, Validation
from issuer.model.errors import CompromisedKey
from issuer.model.leaf import Damaged
from issuer.rules.csr import CsrRefused, cautions, read_csr, refuse_compromised
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.history import History
from issuer.store.revision import open_database

_LONGEST_COMMENT = 1000  # characters
_LARGEST_CSR = 65_535  # as much as the column takes


def populate(arguments: argparse.Namespace) -> None:
    """Enrol a name; the row is disabled until `enable`."""
    settings = load(Settings, arguments.config)
    name = enrolment_name(arguments.name, label=arguments.label)
    content, origin = _csr(arguments.csr, name, settings)
    try:
        facts = read_csr(content)
    except CsrRefused as error:
        hint = "nothing was enrolled; make a new CSR on the host with `certfleet-agent request`"
        raise RefusedError(f"the CSR in {origin} is refused", why=str(error), hint=hint, reference="csr") from error
    if name not in facts.names and not arguments.label:
        why = f"it is for {', '.join(facts.names)}"
        hint = "correct the name; or add --label if NAME is meant to be a label of your own"
        raise RefusedError(f"the CSR in {origin} is not for {name}", why=why, hint=hint, reference="csr-other-name")
    validation = _validation(arguments, facts.names)
    chosen = ways(validation, facts.names)
    for way, kind, names in chosen:
        kind.require(way, names)
    comment = checked_comment(arguments.comment)
    certificates = Certificates(open_database(settings.database))
    if facts.spki_sha256 in certificates.compromised(name):
        raise CompromisedKey([name])
    certificates.enrol(name, facts, comment=comment, validation=validation, now=int(time.time()))
    say(f"{name}: enrolled, {facts.key_type}, {len(facts.names)} name(s), md5_modulus {facts.md5_modulus}")
    for caution in cautions(name, facts):
        complain(str(caution))
    ready = dict.fromkeys(kind.ready for _, kind, _ in chosen)
    say(f"it is disabled; `certfleet-issuer enable {quote(name)}` when {' and '.join(ready)}")


def enable(arguments: argparse.Namespace) -> None:
    """Switch automatic renewal on; refused for a compromised key."""
    database = open_database(load(Settings, arguments.config).database)
    refuse_compromised(Certificates(database).get(arguments.name))
    _switch(arguments, database, enabled=True)


def disable(arguments: argparse.Namespace) -> None:
    _switch(arguments, open_database(load(Settings, arguments.config).database), enabled=False)


def remove(arguments: argparse.Namespace) -> None:
    """Delete the row after the person has typed the name once more."""
    database = open_database(load(Settings, arguments.config).database)
    certificates = Certificates(database)
    [row] = certificates.get([arguments.name])
    if not confirmed(arguments, f"type the name again to remove {arguments.name}: "):
        raise RefusedError("the names differ", hint="nothing was removed")
    certificates.remove(arguments.name, int(time.time()))
    ours = [version for version in History(database).versions(row.name) if version.directory and not version.revoked]
    revocable = f", and `revoke {quote(row.name)} --serial` can use them" if ours else ""
    say(f"{row.name}: removed; its versions and events are kept{revocable}")
    for _, kind, names in () if row.imported else ways(row.validation, _names(row)):
        if left := kind.leaves(names):
            say(left)


def _validation(arguments: argparse.Namespace, names: Sequence[str]) -> Validation:
    """The ways of --webroot and --by. Raises UsageError for a --by that is not about one of *names*."""
    exceptions = []
    for text in arguments.by:
        name, _, way = text.partition("=")
        name = name.strip().lower()
        if name not in names or not way.strip():
            hint = f"write NAME={DNS} or NAME=/webroot; the CSR's names are {', '.join(names)}"
            raise UsageError(f"--by {text!r} does not say how one of the CSR's names is validated", hint=hint)
        exceptions.append((name, way.strip()))
    return Validation(certbot=bool(arguments.webroot), webroot_path=arguments.webroot, exceptions=tuple(exceptions))


def _names(row: Enrolment) -> tuple[str, ...]:
    return () if isinstance(row.request, Damaged) else row.request.names


def confirmed(arguments: argparse.Namespace, prompt: str) -> bool:
    """Did the person type the name again, or give --yes? Raises UsageError without a terminal, RefusedError if nothing
    was typed."""
    if arguments.yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this asks for confirmation and there is no terminal", hint="add --yes")
    try:
        typed = input(prompt)
    except (EOFError, OSError, ValueError) as error:  # Ctrl-D, a terminal that was closed, bytes that are no text
        raise RefusedError("nothing was typed", hint="nothing was changed; type the name, or add --yes") from error
    return typed.strip() == str(arguments.name)


def _switch(arguments: argparse.Namespace, database: Database, *, enabled: bool) -> None:
    names = list(dict.fromkeys(arguments.name))
    Certificates(database).set_enabled(names, enabled, int(time.time()))
    for name in names:
        say(f"{name}: {'enabled' if enabled else 'disabled'}")


def enrolment_name(text: str, *, label: bool) -> str:
    """The name to enrol under: a DNS name, or with *label* any text that fits. Raises UsageError."""
    if label:
        fits = 0 < len(text) <= 250 and text.isprintable() and "/" not in text and text == text.strip()
        if not fits or text.startswith((".", "-")):  # it becomes part of file names
            hint = "1 to 250 printable characters without /, the first one neither . nor -"
            raise UsageError(f"{text[:250]!r} cannot be a label", hint=hint)
        return text
    try:
        return parse_name(text)
    except ValueError as error:
        raise UsageError(str(error), hint="give the DNS name or address that the certificate is for") from error


def checked_comment(text: str) -> str:
    """*text*, if it is one line that fits. Raises UsageError."""
    if len(text) > _LONGEST_COMMENT or "\n" in text:
        raise UsageError(f"--comment must be one line of at most {_LONGEST_COMMENT} characters", hint="shorten it")
    return text


def _csr(option: str, name: str, settings: Settings) -> tuple[bytes, str]:
    file = Path(option) if option else settings.csr_dir / f"{name}.csr"
    try:
        if option == "-":
            return sys.stdin.buffer.read(_LARGEST_CSR + 1)[:_LARGEST_CSR], "standard input"
        return read_regular(file, _LARGEST_CSR), str(file)
    except OSError as error:
        hint = "copy the CSR from the host there, or name it with --csr FILE (- is standard input)"
        raise RefusedError(
            f"the CSR {file} cannot be read", why=error.strerror or "", hint=hint, reference="csr"
        ) from error
