"""zone --persist: the records of dns-persist-01 for our account at each CA, ready to paste."""

import argparse
from contextlib import closing
from dataclasses import asdict, dataclass

from common.command_line import complain, report, say
from common.errors import CertfleetError, UsageError, render
from common.names import parse_dns_name
from issuer.commands.wiring import build_authority
from issuer.dns.persist01 import DnsPersist01
from issuer.model.config import Settings
from issuer.model.enrolment import Validation
from issuer.model.errors import noted
from issuer.rules.persist import owner_of, wanted_at, zone_line


@dataclass(frozen=True, slots=True)
class Record:
    """A TXT record for our account at the CA *directory*; *line*: the line of the zone file."""

    directory: str
    owner: str
    value: str
    line: str


def print_records(settings: Settings, arguments: argparse.Namespace) -> None:
    """Print the record of each NAME. Where our account does not exist yet, it is registered. A CA that cannot tell its
    record is told of, where another one can. Raises UsageError, AcmeProblem."""
    names, failed = _names(arguments.name), list[CertfleetError]()
    records: list[Record] = []
    for ca in settings.authorities:
        with noted(failed):
            records += _records(settings, ca.directory, names)
    if not records:
        raise failed[0]
    for error in failed:
        complain(render(error))
    if arguments.json:
        report([asdict(record) for record in records])
        return
    for directory in dict.fromkeys(record.directory for record in records):
        say(f"--- in the zone of each name, for {directory} ---")
        for record in records:
            if record.directory == directory:
                say(record.line)


def _names(texts: list[str]) -> list[str]:
    """Each name once; a wildcard stands for its base name too, because they share a record."""
    try:
        names = [parse_dns_name(text) for text in texts]
    except ValueError as error:
        raise UsageError(str(error), hint="give a DNS name like www.example.com") from error
    DnsPersist01().require(Validation(), names)
    return [name for name in dict.fromkeys(names) if f"*.{name}" not in names]


def _records(settings: Settings, directory: str, names: list[str]) -> list[Record]:
    with closing(build_authority(settings, directory)) as ca:
        identity = ca.identity(ca.account_url())
    pairs = [(owner_of(name), wanted_at(identity, name).records[0]) for name in names]
    return [Record(directory, owner, value, zone_line(owner, value)) for owner, value in pairs]
