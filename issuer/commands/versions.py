"""history, import, revoke: earlier certificates, those from outside, and those not to be trusted."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from common.certificate import (
    Bundle,
    certified_names,
    chain_faults,
    fingerprint,
    issuer_text,
    parse_bundle,
    serial_number,
    serial_text,
    spki_sha256,
    validity_faults,
)
from common.clock import utc_text
from common.command_line import report, say, table
from common.config_file import load
from common.errors import RefusedError, UsageError
from common.files import read_regular
from common.names import uncovered
from issuer.commands.change import change_fields
from issuer.commands.confirm import confirm
from issuer.commands.enrolment import checked_comment, enrolment_name
from issuer.commands.keys import told
from issuer.commands.sealing import Sealer
from issuer.commands.takeover import Takeover
from issuer.commands.wiring import build_authority, build_looks
from issuer.model.config import Settings
from issuer.model.csr import md5_modulus
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Damaged, Leaf, in_short, leaf_of
from issuer.model.reasons import CESSATION, KEY_COMPROMISE, words_of
from issuer.rules.change import remarks
from issuer.store.certificates import Certificates
from issuer.store.history import MOST, History, Version
from issuer.store.revision import open_database
from issuer.trust.seals import Seals
from issuer.trust.statements import Statements

COMPROMISED = "its key was revoked as compromised"
NOT_REMEMBERED = "this issuer does not remember that it, or another issuer, stored this certificate:"


def history(arguments: argparse.Namespace) -> None:
    """Show every certificate and event of a name, also of a removed one, the newest first."""
    database = open_database(load(Settings, arguments.config).database)
    store, certificates = History(database), Certificates(database)
    row = _row(arguments.name, certificates)
    present = row.fingerprint if row is not None else ""
    versions, events = store.versions(arguments.name), store.events(arguments.name)
    if row is None and not versions and not events:
        certificates.get([arguments.name])  # raises, and says which name may be meant
    cut = [what for what, found in (("certificates", versions), ("events", events)) if len(found) == MOST]
    if arguments.json:
        facts = [_version_facts(version) | {"present": version.sha256 == present} for version in versions]
        beside = change_fields(row) if row is not None else {}
        told = {"versions": facts, "events": [event.fields for event in events], "newest_only": cut}
        report({"name": arguments.name, **told, **beside})
        return
    rows = [
        [
            utc_text(item.stored_at),
            item.serial,
            "revoked" if item.revoked else utc_text(item.not_after),
            "damaged" if isinstance(item.bundle, Damaged) else item.issuer,
            "present" if item.sha256 == present else "",
        ]
        for item in versions
    ]
    say(*table(["STORED", "SERIAL", "VALID UNTIL", "ISSUER", ""], rows))
    for remark in remarks(row) if row is not None else ():
        say(remark)
    if cut:
        say(f"of its {' and '.join(cut)} only the newest {MOST} are shown")
    for event in events:
        say(f"{utc_text(event.at)}  {event.event}  {event.detail}".rstrip())


def take_in(arguments: argparse.Namespace) -> None:
    """Store a certificate that was bought or made elsewhere, for the agents. ACME never renews it."""
    if arguments.csr and not arguments.takeover_at:
        raise UsageError("--csr goes with --takeover-at", hint="an imported certificate needs no CSR until then")
    settings = load(Settings, arguments.config)
    name = enrolment_name(arguments.name, label=arguments.label)
    bundle = _read_bundle(arguments.crt, arguments.chain)
    now = int(time.time())
    faults = [*chain_faults(bundle), *validity_faults(bundle, now)]
    if not arguments.label and uncovered(frozenset([name]), certified_names(bundle.leaf)):
        faults.append(f"it is for {', '.join(sorted(certified_names(bundle.leaf))) or 'no name'}, not for {name}")
    database = open_database(settings.database)
    certificates = Certificates(database)
    if key_of(bundle) in certificates.compromised(name):
        faults.append(COMPROMISED)
    if faults:
        what = f"the certificate in {arguments.crt} is refused"
        raise RefusedError(what, why="; ".join(faults), hint="nothing was stored")
    comment = checked_comment(arguments.comment)
    if (row := _row(name, certificates)) is not None:
        name = row.name  # MySQL finds it by another case too; what is signed and remembered is for the row
    takeover = Takeover(settings, arguments, name, row, bundle) if arguments.takeover_at else None
    what = in_short(bundle.leaf)
    if row is not None:
        if row.imported and (row.crt, row.ca) == (bundle.leaf_pem, bundle.chain_pem):
            if takeover is None:
                say(f"{name}: {what}, is there already; nothing was changed")
                return
            takeover.enrol(database)
            say(f"{name}: {what}, is there already")
            _tell_standing(certificates, name)
            return
        _check_key(row, bundle)
    sealer, store = Sealer(settings), History(database, sign=Statements(settings.state_dir).sign)
    if row is None:
        seals = [sealer.importing(name, now)]
    else:
        seals = sealer.with_other(row, bundle.leaf_pem, now, imported=True)
    store.take_in(name, bundle, md5_modulus(bundle.leaf.public_key()), comment, now, seals=seals)
    sealer.remember(seals)
    sealer.seals.stored(name, bundle, now)
    say(f"{name}: imported {what}")
    if takeover is not None:
        takeover.enrol(database)
    _tell_standing(certificates, name)


def _tell_standing(certificates: Certificates, name: str) -> None:
    [row] = certificates.get([name])
    for remark in remarks(row):
        say(remark)
    if row.enabled:
        later = "nothing renews it"
        if row.takeover_at is not None:
            begin = utc_text(row.takeover_at)
            later = f"a `run` orders the next one from {begin} on, unless a newer one is imported before"
        say(f"it is enabled: agents take it at their next run, `status` watches it, {later}")
    else:
        say(f"it is disabled: agents take it at their next run; `enable {quote(name)}` lets `status` watch it")


def revoke(arguments: argparse.Namespace) -> None:
    """Ask the CA that issued it to revoke a certificate, after the person has typed the name once more."""
    settings = load(Settings, arguments.config)
    database = open_database(settings.database)
    store, certificates, name = History(database), Certificates(database), arguments.name
    if (row := _row(name, certificates)) is not None:
        name = row.name  # MySQL finds it by another case too, and our memory does not
    if row is None and not (arguments.serial and store.versions(name)):  # a removed name has no present certificate
        certificates.get([name])
    bundle, directory = _to_revoke(name, row, store, arguments.serial)
    memory = Seals(settings.state_dir).memory
    if fingerprint(bundle.leaf) not in memory.past(name).stored:
        show_doubtful(name, bundle, [NOT_REMEMBERED])
        if arguments.yes and not arguments.serial:  # the database alone has chosen it; a serial is a person's word
            hint = "look at what is shown, then name it with --serial, or run it at a terminal without --yes"
            raise RefusedError("without --serial, --yes revokes only what this issuer remembers", hint=hint)
    prompt = f"type the name again to revoke serial {serial_text(bundle.leaf)} of {name}: "
    confirm(name, prompt, yes=arguments.yes, otherwise="nothing was revoked")
    now = int(time.time())
    build_authority(settings, directory).revoke(bundle, arguments.reason)
    disabled = store.mark_revoked(name, bundle, directory, arguments.reason, now)
    known = [key_of(bundle)] if arguments.reason == KEY_COMPROMISE else []
    memory.remember_revoked(name, fingerprint(bundle.leaf), *known)
    say(f"{name}: serial {serial_text(bundle.leaf)} is revoked ({words_of(arguments.reason)})")
    if row is None:
        say(f"{name} is not enrolled any more, so nothing else changes here")
    elif disabled:
        build_looks(settings).plan(name, None)  # nobody is to hear later that it is disabled
        typed = quote(row.name)
        say("the key is not to be used again, so it was disabled: make a new key and CSR on the host, then")
        say(f"`populate --replace {typed} --csr FILE`, `enable {typed}`, `issue {typed}`")
    elif arguments.reason == KEY_COMPROMISE and row.change is not None and row.key_sha256 == key_of(bundle):
        say("the key is not to be used again; the CSR that waits is ordered next, at once by")
        say(f"`issue {quote(row.name)}`")
    elif bundle.leaf_pem != row.crt:
        say(f"it is not the present one of {row.name}, which stays as it is")
    elif arguments.reason == CESSATION:
        say(f"it is still renewed: `disable {quote(row.name)}` or `remove {quote(row.name)}` ends that")
    else:
        say(f"servers go on serving it until they have another: `reissue {quote(row.name)}` makes one")
    if arguments.reason == KEY_COMPROMISE:
        for each in sorted({name, *store.names_with_key(md5_modulus(bundle.leaf.public_key()))}):
            _tell_same_key(bundle, each, store.versions(each), now)


def _tell_same_key(bundle: Bundle, name: str, versions: Sequence[Version], now: int) -> None:
    """Tell the certificates of *name* with the key of *bundle* that are neither expired nor revoked."""
    for version in versions:
        if version.revoked or version.not_after <= now:
            continue
        if isinstance(version.bundle, Damaged) or key_of(version.bundle) != key_of(bundle):
            continue
        remedy = f"revoke {quote(name)} --serial {version.serial} --reason {KEY_COMPROMISE}"
        remedy = f"`{remedy}`" if version.directory else "revoke it where it was bought"
        valid = f"valid until {utc_text(version.not_after)}"
        say(f"{name}: serial {version.serial}, {valid}, has the same key: {remedy}")


def with_serial(versions: Sequence[Version], serial: str) -> Version | None:
    """The newest of *versions* whose certificate has that serial number, whatever stands beside it in the table."""
    wanted = serial_number(serial)
    return next((version for version in versions if wanted is not None and _serial_of(version) == wanted), None)


def _serial_of(version: Version) -> int | None:
    """The serial number; by the table where the certificate is damaged."""
    bundle = version.bundle
    return serial_number(version.serial) if isinstance(bundle, Damaged) else bundle.leaf.serial_number


def show_doubtful(name: str, bundle: Bundle, doubts: Sequence[str]) -> None:
    """Say the *doubts* about a certificate of *name*, and what it is."""
    leaf = leaf_of(bundle.leaf_pem)
    assert isinstance(leaf, Leaf)  # noqa: S101 - it was parsed before
    for doubt in doubts:
        say(f"{name}: {doubt}")
    say(told(leaf))
    say(f"valid from {utc_text(leaf.starts)}; SHA-256 {leaf.sha256}")


def key_of(bundle: Bundle) -> str:
    """The SHA-256 of the public key of its leaf, lower-case hex."""
    return spki_sha256(bundle.leaf.public_key())


def _to_revoke(name: str, row: Enrolment | None, store: History, serial: str) -> tuple[Bundle, str]:
    """The certificate to revoke, and the directory of its CA. Raises RefusedError for one from outside."""
    if serial and (version := with_serial(store.versions(name), serial)) is not None:
        if not version.directory:
            raise _from_outside(name)
        return undamaged(version, name), version.directory
    if row is None or serial or not row.crt:
        hint = f"`history {quote(name)}` shows what there is"
        raise RefusedError(f"no such certificate of {name} is stored", hint=hint)
    directory = row.directory
    if row.imported:  # our CA may have issued it all the same
        stored = store.versions(name)
        directory = next((version.directory for version in stored if version.sha256 == row.fingerprint), "")
        if not directory:
            raise _from_outside(name)
    bundle = row.bundle
    if isinstance(bundle, Damaged):
        typed = quote(name)
        hint = f"name it with --serial, as `history {typed}` shows it; `reissue {typed}` replaces what is damaged"
        raise RefusedError(f"the present certificate of {name} is damaged in the database", why=bundle.why, hint=hint)
    return bundle, directory


def undamaged(version: Version, name: str) -> Bundle:
    """The bundle of *version*, one of *name*. Raises RefusedError where it cannot be parsed."""
    bundle = version.bundle
    if isinstance(bundle, Damaged):
        hint = f"restore that row of `versions` from a backup, or name another; `history {quote(name)}` shows them"
        what = f"the certificate {version.serial} of {name} is damaged in the database"
        raise RefusedError(what, why=bundle.why, hint=hint)
    return bundle


def _from_outside(name: str) -> RefusedError:
    hint = "revoke it where it was bought; then `import` its successor"
    return RefusedError(f"this certificate of {name} was imported, so our CA does not know it", hint=hint)


def _row(name: str, certificates: Certificates) -> Enrolment | None:
    return next(iter(certificates.enrolled([name])), None)


def _check_key(row: Enrolment, bundle: Bundle) -> None:
    """Raise RefusedError if ACME renews the name, or if its key differs: the host could not use the certificate."""
    if row.enabled and not row.imported:
        hint = f"`disable {quote(row.name)}` first; the import would be replaced"
        raise RefusedError(f"{row.name} is renewed by ACME", hint=hint)
    if row.csr and row.key_sha256 != key_of(bundle):
        raise RefusedError(f"the certificate's key is not the key of the CSR of {row.name}", hint="nothing was stored")


def _read_bundle(crt: str, chain: str) -> Bundle:
    try:
        leaf_pem, chain_pem = read_regular(Path(crt)), read_regular(Path(chain)) if chain else b""
    except OSError as error:
        what = f"{error.filename} cannot be read"
        raise RefusedError(what, why=error.strerror or "", hint="name the PEM file") from error
    if b"PRIVATE KEY-----" in leaf_pem + chain_pem:
        raise RefusedError(f"{crt} holds a private key", hint="keys stay on their host: give the certificates alone")
    try:
        return parse_bundle(leaf_pem, chain_pem)
    except ValueError as error:
        raise RefusedError(f"{crt} is refused", why=str(error), hint="give PEM: the leaf, then its chain") from error


def _version_facts(version: Version) -> dict[str, object]:
    bundle = None if isinstance(version.bundle, Damaged) else version.bundle
    return {
        "serial": version.serial,
        "sha256": version.sha256,
        "issuer": version.issuer,
        "names": sorted(certified_names(bundle.leaf)) if bundle else [],
        "not_before": utc_text(version.not_before),
        "not_after": utc_text(version.not_after),
        "stored_at": utc_text(version.stored_at),
        "chain": [issuer_text(item) for item in bundle.chain] if bundle else [],
        "lifetime_seconds": version.not_after - version.not_before,
        "damaged": bundle is None,
        "revoked": version.revoked,
    }
