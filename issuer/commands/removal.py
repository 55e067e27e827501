"""remove: rows that are to be forgotten, and rows that somebody else has deleted already."""

import argparse
import contextlib
import time
from shlex import quote

from common.command_line import say
from common.config_file import load
from common.errors import RefusedError
from issuer.commands.challenge_types import challenge_type
from issuer.commands.confirm import confirm
from issuer.commands.many import each, names_of
from issuer.commands.sealing import Sealer
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.rules.change import shares
from issuer.store.certificates import Certificates
from issuer.store.history import History
from issuer.store.revision import open_database
from issuer.store.seals import SealStore


def remove(arguments: argparse.Namespace) -> int:
    """Delete rows after the person has typed each name once more."""
    settings = load(Settings, arguments.config)
    database, sealer = open_database(settings.database), Sealer(settings)
    certificates = Certificates(database)

    def work(name: str) -> None:
        if name in sealer.seals.memory.names() and not certificates.enrolled([name]):
            tombstone = sealer.seals.tombstone(name, int(time.time()))
            SealStore(database).add_tombstone(name, tombstone, int(time.time()))
            sealer.seals.bury(name, tombstone)
            say(f"{name}: its row was gone already, and is not missed any more")
            return
        [row] = certificates.get([name])
        if row.crt and not row.imported and not arguments.yes:
            say(f"to change names or key instead: `certfleet-issuer populate --replace {quote(name)} --csr FILE`")
        prompt = f"type the name again to remove {name}: "
        confirm(name, prompt, yes=arguments.yes, otherwise="nothing was removed")
        now = int(time.time())
        tombstone = sealer.seals.tombstone(name, now)
        certificates.remove(name, now, tombstone)
        sealer.seals.bury(name, tombstone)
        _tell_left(row, History(database))

    return each(names_of(arguments.name), work)


def _tell_left(row: Enrolment, history: History) -> None:
    ours = [version for version in history.versions(row.name) if version.directory and not version.revoked]
    revocable = f", and `revoke {quote(row.name)} --serial` can use them" if ours else ""
    say(f"{row.name}: removed; its versions and events are kept{revocable}")
    with contextlib.suppress(RefusedError):  # a way that is none leaves nothing
        for way, names in () if row.imported else shares(row):
            if left := challenge_type(way).leaves(names):
                say(left)
