"""rollback: an earlier certificate becomes the present one again."""

import argparse
import time
from collections.abc import Sequence
from shlex import quote

from common.certificate import Bundle, fingerprint, not_after, not_before, serial_number, validity_faults
from common.clock import utc_text
from common.command_line import say
from common.config_file import load
from common.errors import RefusedError
from issuer.commands.confirm import confirm
from issuer.commands.sealing import Sealer
from issuer.commands.versions import COMPROMISED, NOT_REMEMBERED, key_of, show_doubtful, undamaged, with_serial
from issuer.journey.sealed import require_seal
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Leaf
from issuer.rules.change import remarks
from issuer.rules.renewal import renewal_moment
from issuer.store.certificates import Certificates
from issuer.store.history import History, Version
from issuer.store.revision import open_database
from issuer.trust.statements import Statements

_NOT_RENEWED = "by the table it was imported, and while it is the present one, nothing renews it:"


def rollback(arguments: argparse.Namespace) -> None:
    """Make an earlier certificate the present one again; agents take it at their next run."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    row = Certificates(database).get([arguments.name])[0]
    store = History(database, sign=Statements(settings.state_dir).sign)
    version = _earlier(row, store.versions(row.name), arguments.serial)
    bundle, now = undamaged(version, row.name), int(time.time())
    faults = validity_faults(bundle, now)
    if row.csr and key_of(bundle) != row.key_sha256:
        faults.append("its key is not the key of the present CSR; `populate --replace` takes a CSR of that key")
    if key_of(bundle) in row.compromised:
        faults.append(COMPROMISED)
    sealer = Sealer(settings)
    past = sealer.seals.past(row.name)
    if version.revoked or fingerprint(bundle.leaf) in past.revoked:
        faults.append("it was revoked")
    if faults:
        hint = "nothing was changed; `history` shows the others"
        raise RefusedError(f"the certificate {version.serial} cannot be used again", why="; ".join(faults), hint=hint)
    if version.sha256 == row.fingerprint:
        say(f"{row.name}: serial {version.serial} is the present one already; nothing was changed")
        return
    due_at = renewal_moment(row.name, not_before(bundle.leaf), not_after(bundle.leaf), settings.renewal)
    require_seal(row, sealer.seals)
    imported = not version.directory
    doubts = [NOT_REMEMBERED] if fingerprint(bundle.leaf) not in past.stored else []
    doubts += [_NOT_RENEWED] if imported and not row.imported else []
    if doubts:
        _let_look(row.name, bundle, doubts, yes=arguments.yes)
    seals = sealer.with_other(row, bundle.leaf_pem, now, imported=imported)
    store.go_back(row.name, version, bundle, due_at, now, seals=seals)
    sealer.remember(seals)
    sealer.seals.stored(row.name, bundle, now)
    say(f"{row.name}: back at serial {version.serial}, valid until {utc_text(version.not_after)}")
    if row.enabled and due_at <= now:
        say(f"it is due for renewal already: `disable {quote(row.name)}` if it is to stay")
    for remark in remarks(Certificates(database).get([row.name])[0]):
        say(remark)


def _let_look(name: str, bundle: Bundle, doubts: Sequence[str], *, yes: bool) -> None:
    """Show a certificate with the *doubts* about it, and raise RefusedError unless a person wants it: the table
    `versions` alone is no reason to sign it, or to end its renewal."""
    show_doubtful(name, bundle, doubts)
    prompt = f"type the name again to go back to it and sign it for {name}: "
    confirm(name, prompt, yes=yes, otherwise="nothing was changed")


def _earlier(row: Enrolment, versions: list[Version], serial: str) -> Version:
    """The version with *serial*, else the one that hosts had before the present one, so that a second rollback goes
    further back. Raises RefusedError."""
    hint = f"`history {quote(row.name)}` shows what there is; `--serial` takes any of them"
    if serial:
        if (chosen := with_serial(versions, serial)) is None:
            raise RefusedError(f"no certificate {serial} of {row.name} is stored", hint=hint)
        return chosen
    present = serial_number(row.present.serial) if isinstance(row.present, Leaf) else None
    serials = [serial_number(version.serial) for version in versions]
    earlier = versions[serials.index(present) :] if present in serials else versions
    for version in earlier:
        if serial_number(version.serial) != present and not version.unapproved:
            return version
    raise RefusedError(f"there is no earlier certificate of {row.name}", hint=hint)
