"""approve: hosts get a certificate from another CA, which waited for that."""

import argparse
import time
from contextlib import closing

from common.command_line import say
from common.config_file import load
from common.errors import UsageError
from issuer.commands.many import each, names_of
from issuer.journey.approval import offer
from issuer.journey.sealed import require_seal
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.rules.approval import awaiting
from issuer.store.approvals import Approvals
from issuer.store.certificates import Certificates
from issuer.store.revision import open_database
from issuer.trust.seals import Seals
from issuer.trust.statements import Statements


def approve(arguments: argparse.Namespace) -> int:
    """Offer the certificates that wait in the rows of NAMEs, or with --all in every row. Without either, show them.
    Exit code 1 where one cannot be used."""
    if arguments.name and arguments.all:
        raise UsageError("--all goes with no name", hint="`approve --all` is for every certificate that waits")
    settings = load(Settings, arguments.config)
    seals, now = Seals(settings.state_dir), int(time.time())
    with closing(open_database(settings.database)) as database:
        approvals = Approvals(database, sign=Statements(settings.state_dir).sign)
        names = names_of(arguments.name)
        rows = Certificates(database).get(names) if names else approvals.waiting()

        def give(row: Enrolment) -> None:
            if not row.unapproved:
                say(f"{row.name}: no certificate waits for approval")
                return
            require_seal(row, seals)
            stored = offer(row, approvals, seals, settings.renewal, now)
            say(f"{row.name}: approved ({stored})" if stored else f"{row.name}: somebody was faster")

        if names or (arguments.all and rows):
            return each(rows, give)
        for row in rows:
            until = row.waiting.until if row.waiting is not None else now
            say(f"{row.name}: {awaiting(row.name, until)[0]}")
        if not rows:
            say("no certificate waits for approval")
    return 0
