"""key: the key that agents pin, its public half, its change; statements for certificates that have none."""

import argparse
import time
from collections.abc import Sequence

from common.clock import utc_text
from common.command_line import complain, report, say
from common.config_file import load
from common.files import make_private_folder
from common.issuer_key import issuer_key_id, issuer_key_text
from issuer.commands.confirm import confirm
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Leaf
from issuer.rules import statements as rules
from issuer.rules.statements import Verdict
from issuer.store.certificates import Certificates
from issuer.store.database import Database
from issuer.store.revision import open_database
from issuer.store.rows import any_row
from issuer.store.statements import Renew, Signed, sign_many
from issuer.trust.presents import Presents
from issuer.trust.statements import LOST, Statements

_MOST_SHOWN = 20
_FEW = 1000  # names in one query; for more of them every row is read
_FIRST_REVISION = "0015"  # that gave the table its statements


def show(arguments: argparse.Namespace) -> None:
    """Print the public half of the key that signs now."""
    statements = Statements(load(Settings, arguments.config).state_dir)
    key = statements.key()
    if arguments.json:
        facts = {"issuer_key": issuer_key_text(key.public), "id": issuer_key_id(key.public)}
        report({**facts, "file": str(statements.file), "change_unfinished": statements.changing})
        return
    say(f'issuer_key = "{issuer_key_text(key.public)}"')
    say(f"id           {issuer_key_id(key.public)}")
    say(f"file         {statements.file}")
    if statements.changing:
        say("not every certificate is signed by it yet: `certfleet-issuer key rollover` goes on with that")


def rollover(arguments: argparse.Namespace) -> int:
    """Make another key, endorsed by the old one unless that is lost, and sign every statement with it. The same command
    goes on after a kill. Exit code 1 if a certificate stays without a statement of this key."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    statements = Statements(settings.state_dir)
    key = statements.begin_change(lost=arguments.lost)
    signed = _sign_all(database, statements)
    statements.end_change()
    say(key.sentence)
    if key.endorsements:
        say("agents follow with their next certificate, and remember it; write it into each agent.toml all the same")
    else:
        say("no earlier key vouches for it: agents take nothing new until it stands in their agent.toml")
    say(f"keep a backup of {statements.file}; another issuer on this database needs a copy of it now")
    return _tell_signed(signed)


def sign(arguments: argparse.Namespace) -> int:
    """Sign the present certificates of NAMEs after a person has looked at them. Exit code 1 if one is not to be
    signed."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    statements, rows = Statements(settings.state_dir), Certificates(database).get(arguments.name)
    statements.key()
    for row in rows:
        say(facts(row))
    prompt, otherwise = "type sign if these are the certificates that hosts are to have: ", "nothing was signed"
    confirm("sign", prompt, yes=arguments.yes, otherwise=otherwise, what="you did not type sign")
    return sign_seen(rows, statements, database)


def sign_seen(rows: Sequence[Enrolment], statements: Statements, database: Database) -> int:
    """Sign the certificates of *rows*, which a person has looked at, unless another one is there by now. Tells it, and
    returns 1 if one is not to be signed. Raises StoreError, ConfigError, FileError."""
    seen = {row.name: row.crt for row in rows}

    def judge(row: Enrolment) -> Verdict | None:
        if row.name not in seen:
            return None
        return rules.by_hand(row) if row.crt == seen[row.name] else Verdict("it has another certificate since")

    names = list(seen) if len(seen) < _FEW else ()
    together = statements.memory.together
    return _tell_signed(sign_many(database, judge, _renewed(statements), names=names, together=together))


def sign_first(settings: Settings, database: Database, before: str) -> None:
    """After an upgrade of the tables from the revision *before*: make the key if there is none, and sign what is there,
    once. The issuer's own memory counts too: who writes the database may have taken statements and revision back. A key
    that was lost later is not made anew. Raises CertfleetError."""
    make_private_folder(settings.state_dir)
    statements = Statements(settings.state_dir)
    if statements.changing:
        if statements.key().endorsements:
            return  # `key rollover` goes on with that
    elif before >= _FIRST_REVISION or any_row(database, "statement") or statements.memory.has_stated():
        if statements.absent:
            complain(f"{statements.file} is missing, and new certificates go out without a statement: {LOST}")
        return
    made = statements.absent
    key = statements.begin_first()
    signed = _sign_all(database, statements)
    statements.end_change()
    if made:
        say(f"made {statements.file}; keep a backup of it; {key.sentence}")
    if signed.count or signed.unsigned:
        _tell_signed(signed)


def _sign_all(database: Database, statements: Statements) -> Signed:
    """Every present certificate by the key that signs now: on the word of an earlier key of ours where one endorses
    it, and never an earlier certificate that somebody has put back."""
    key = statements.key()
    presents = Presents(statements.memory, key)

    def judge(row: Enrolment) -> Verdict | None:
        if not row.crt or key.has_signed(row.statement):
            return None
        verdict = rules.again(row, key.statement) if key.endorsements else rules.at_first(row)
        if not verdict.why and presents.is_replaced(row):
            return Verdict("its certificate is not the last one that an issuer signed")
        return verdict

    return sign_many(database, judge, _renewed(statements), together=statements.memory.together)


def _renewed(statements: Statements) -> Renew:
    key, now = statements.key(), int(time.time())

    def renew(row: Enrolment, leaf: Leaf, verdict: Verdict) -> str:
        sequence = key.next_sequence(row.name, row.statement, statements.remembered(row.name, key), now)
        text = key.sign(row.name, leaf, sequence, now, older=verdict.older)
        starts = min(leaf.starts, now)
        statements.memory.remember_stated(row.name, issuer_key_id(key.public), sequence, leaf.sha256, starts)
        return text

    return renew


def facts(row: Enrolment) -> str:
    """The certificate of *row*, for a person who is to decide whether hosts are to have it."""
    leaf = row.present
    if not isinstance(leaf, Leaf):
        return f"{row.name}: {'its certificate is damaged' if leaf else 'no certificate yet'}"
    return f"{row.name}: {told(leaf)}"


def told(leaf: Leaf) -> str:
    """A certificate in one line."""
    what = f"serial {leaf.serial} by {leaf.issuer}, until {utc_text(leaf.ends)}, for {', '.join(sorted(leaf.names))}"
    return f"{what}; SHA-256 of its key {leaf.spki_sha256}"


def _tell_signed(signed: Signed) -> int:
    """Say what was signed and what not; the exit code."""
    say(f"signed {signed.count} certificate{'' if signed.count == 1 else 's'}")
    for name, why in list(signed.unsigned.items())[:_MOST_SHOWN]:
        complain(f"{name}: not signed: {why}")
    if (more := len(signed.unsigned) - _MOST_SHOWN) > 0:
        complain(f"and {more} more; `certfleet-issuer check` lists all")
    if signed.unsigned:
        complain("hosts with issuer_key do not take these: look at each, then `reissue` it, or `key sign` it")
    return 1 if signed.unsigned else 0
