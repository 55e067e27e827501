"""zone --persist, zone --caa: records that name our account at each CA, ready to paste."""

import argparse
from collections.abc import Callable, Sequence
from contextlib import closing

from common.command_line import complain, report, say
from common.dataclasses import asdict, dataclass
from common.errors import CertfleetError, UsageError, render
from common.names import parse_dns_name
from issuer.commands.challenge_types import known_type
from issuer.commands.wiring import build_authority
from issuer.dns.persist01 import DnsPersist01
from issuer.model.acme import CaIdentity
from issuer.model.config import Settings
from issuer.model.enrolment import DNS, Validation
from issuer.model.errors import AcmeProblem, noted
from issuer.rules.caa import binding
from issuer.rules.persist import owner_of, wanted_at, zone_line


@dataclass(frozen=True, slots=True)
class Record:
    """A record for our account at the CA *directory*; *line*: the line of the zone file."""

    directory: str
    owner: str
    value: str
    line: str


def print_persist(settings: Settings, arguments: argparse.Namespace) -> None:
    """Print the record of dns-persist-01 for each NAME; a wildcard shares that of its base name. Raises UsageError,
    AcmeProblem."""
    names = _names(arguments.name)
    DnsPersist01().require(Validation(), names)
    names = [name for name in names if f"*.{name}" not in names]

    def record(identity: CaIdentity, name: str) -> Record:
        owner, value = owner_of(name), wanted_at(identity, name).records[0]
        return Record(identity.directory, owner, value, zone_line(owner, value))

    _print(settings, names, record, arguments)


def print_caa(settings: Settings, arguments: argparse.Namespace) -> None:
    """Print the CAA record that lets our account alone have certificates for each NAME, by one validation method alone
    (RFC 8657). Raises UsageError, AcmeProblem."""
    method = known_type(DNS if arguments.method is None else arguments.method)

    def record(identity: CaIdentity, name: str) -> Record:
        found = binding(name, identity.identities, identity.account, method)
        if found is None:
            what = f"{identity.directory} does not tell its name in CAA records"
            raise AcmeProblem(what, hint="ask the CA for its CAA identity")
        return Record(identity.directory, found.owner, found.value, found.zone_line)

    _print(settings, _names(arguments.name), record, arguments)


def _print(
    settings: Settings, names: Sequence[str], record: Callable[[CaIdentity, str], Record], arguments: argparse.Namespace
) -> None:
    """Print the *record* of each name at each CA. Where our account does not exist yet, it is registered. A CA that
    cannot tell its record is told of, where another one can."""
    failed, records = list[CertfleetError](), list[Record]()
    for ca in settings.authorities:
        with noted(failed), closing(build_authority(settings, ca.directory)) as client:
            identity = client.identity(client.account_url())
            records += [record(identity, name) for name in names]
    if not records:
        raise failed[0]
    for error in failed:
        complain(*render(error))
    if arguments.json:
        report([asdict(one) for one in records])
        return
    for directory in dict.fromkeys(one.directory for one in records):
        say(f"--- in the zone of each name, for {directory} ---")
        for one in records:
            if one.directory == directory:
                say(one.line)


def _names(texts: list[str]) -> list[str]:
    try:
        return list(dict.fromkeys(parse_dns_name(text) for text in texts))
    except ValueError as error:
        raise UsageError(str(error), hint="give a DNS name like www.example.com") from error
