"""probe: shows which certificate a live socket serves, beside what the database has for it."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path

from common.certificate import fingerprint
from common.config_file import load
from common.dataclasses import replace
from common.probe.show import show
from common.probe.verdict import Stored, stored_for, stored_of
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.store.certificates import Certificates
from issuer.store.history import History
from issuer.store.revision import open_database


def probe(arguments: argparse.Namespace) -> int:
    """Look at every TARGET."""
    return show(arguments, partial(_stored, arguments.config))


def _stored(config: Path, hosts: Mapping[str, frozenset[str]]) -> dict[str, list[Stored]]:
    """The present certificates for each of *hosts*, with the earlier ones of their rows. Raises CertfleetError."""
    database = open_database(load(Settings, config).database)
    certificates, history = Certificates(database), History(database)
    names = {name for host in hosts for name in (host, f"*.{host.partition('.')[2]}")}
    likely = certificates.enrolled(sorted(names))
    found = stored_for(hosts, _present(likely), lambda: _present(certificates.all(chains=False)))
    return {host: [_with_earlier(one, history) for one in some] for host, some in found.items()}


def _present(rows: Iterable[Enrolment]) -> Iterator[Stored]:
    for row in rows:
        yield from stored_of(row.name, row.crt)


def _with_earlier(stored: Stored, history: History) -> Stored:
    digests = frozenset(version.sha256 for version in history.versions(stored.name))
    return replace(stored, earlier=digests - {fingerprint(stored.leaf)})
