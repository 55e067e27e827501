"""Findings about one certificate: its CSR, its stored certificate, and the CAA records of its names."""

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from common.certificate import chain_faults, serial_text, spki_sha256
from common.check_line import Level, Line
from common.clock import duration_text
from common.files import read_regular
from common.names import is_address
from common.text import some
from issuer.dns.asking import NoAnswer
from issuer.dns.find.caa import relevant_caa
from issuer.dns.find.resolvers import Resolvers
from issuer.model.acme import CaIdentity
from issuer.model.config import RenewalSettings
from issuer.model.csr import CsrFacts
from issuer.model.enrolment import Enrolment
from issuer.model.leaf import Damaged
from issuer.rules.caa import CaaVerdict, binding, binds, caa_allows
from issuer.rules.change import advised
from issuer.rules.csr import CsrRefused, accepted, cautions, read_csr
from issuer.rules.findings import bad, ok, warn
from issuer.rules.imported import how_to_renew, runs_out


def csr_lines(row: Enrolment, file: Path) -> tuple[CsrFacts | None, list[Line]]:
    """The facts of the stored CSR, None if it is not usable, and the findings. They are about the CSR, the md5_modulus
    of the row, and *file*, which the CSR came from."""
    name, lines = row.name, _name_lines(row)
    try:
        facts = accepted(row.request)
    except CsrRefused as error:
        hint = f"make a new CSR on the host, then `populate --replace {quote(name)} --csr FILE`"
        return None, [*lines, bad(name, f"the stored CSR is not usable: {error}", hint)]
    lines += [ok(name, f"CSR for {some(facts.names)}, {facts.key_type}"), *cautions(name, facts)]
    if row.md5_modulus not in ("", facts.md5_modulus):
        sentence = "md5_modulus in the table differs from what `openssl req -noout -modulus | openssl md5` prints"
        lines.append(warn(name, sentence, "certfleet does not use it; old scripts may"))
    return facts, lines + _file_lines(name, file, facts)


def certificate_lines(row: Enrolment, facts: CsrFacts) -> list[Line]:
    """Does the stored certificate belong to the CSR's key, and is its chain without faults?"""
    if not row.crt:
        return []
    name, bundle = row.name, row.bundle
    hint = f"`certfleet-issuer reissue {quote(name)}` makes a new one"
    if isinstance(bundle, Damaged):
        return [bad(name, f"the stored certificate cannot be read: {bundle.why}", hint)]
    faults = chain_faults(bundle)
    if spki_sha256(bundle.leaf.public_key()) != facts.spki_sha256:
        faults.append("it belongs to another key than the CSR, so no host can use it")
    if faults:
        return [bad(name, f"the stored certificate is not fit for use: {'; '.join(faults)}", hint)]
    return [ok(name, f"certificate {serial_text(bundle.leaf)} belongs to the CSR's key")]


def change_lines(row: Enrolment) -> list[Line]:
    """Does the stored certificate carry the names of its CSR, and does a change wait?"""
    return [warn(row.name, remark, hint) for remark, hint in advised(row)]


def imported_line(row: Enrolment, now: int, policy: RenewalSettings) -> Line:
    """The finding about an imported certificate: does it end soon?"""
    if not runs_out(row, now, policy):
        return ok(row.name, "imported, so there is nothing to validate")
    left = row.ends - now
    found = f"imported, and {f'it ends in {duration_text(left)}' if left > 0 else 'it has expired'}"
    return Line(Level.WARN if left > 0 else Level.BAD, row.name, found, how_to_renew(row))


def _name_lines(row: Enrolment) -> list[Line]:
    """A name that nobody types as it stands in the table."""
    if row.name == row.name.strip():
        return []
    sentence = f"its name in the table is {row.name!r}: with what stands at its ends no agent finds it"
    return [warn(row.name, sentence, "take that off in the table; if another row has that name, delete one of them")]


def _file_lines(name: str, file: Path, facts: CsrFacts) -> list[Line]:
    try:
        content = read_regular(file)
    except FileNotFoundError:
        return []
    except OSError as error:
        hint = "put the CSR there, readable for this user, or take it away"
        return [warn(name, f"{file} cannot be read ({error.strerror})", hint)]
    try:
        there = read_csr(content)
    except CsrRefused as error:
        return [bad(name, f"{file} is not usable: {error}", "make a new CSR on the host")]
    if there.der != facts.der:
        hint = f"if the file is newer: `populate --replace {quote(name)}` enrols it"
        return [warn(name, f"{file} holds another CSR than the database", hint)]
    return []


def caa_lines(resolvers: Resolvers, names: Sequence[str], method: str, authorities: Sequence[CaIdentity]) -> list[Line]:
    """Check every CA against the CAA records of every DNS name. The first of *authorities* is the CA of [acme]."""
    lines = []
    for name in names:
        if is_address(name):
            continue
        try:
            owner, records = relevant_caa(resolvers, name)
        except NoAnswer as error:
            hint = "a CA that cannot look up CAA refuses; if only this machine cannot, set resolvers in [dns]"
            lines.append(warn(name, f"CAA cannot be looked up: {error}", hint))
            continue
        for number, ca in enumerate(authorities):
            wildcard = name.startswith("*.")
            verdict = caa_allows(records, ca.identities, ca.account, method, wildcard=wildcard)
            lines.append(caa_line(name, owner, verdict, ca.directory, first=number == 0))
            record = binding(name, ca.identities, ca.account, method)
            if verdict.allowed and record is not None and not binds(records, wildcard=wildcard):
                lines.append(ok(name, f"any account may have certificates; for ours alone: {record.zone_line}"))
    return lines


def caa_line(name: str, owner: str, verdict: CaaVerdict, ca: str, *, first: bool) -> Line:
    """The finding for one CA. *first*: it is the CA of [acme]. A CAA record that forbids a fallback is a warning."""
    where = f"CAA at {owner}" if owner else "CAA"
    if verdict.allowed:
        return ok(name, f"{where}, {ca}: {verdict.reason}")
    if verdict.allowed is None:
        return warn(name, f"{where}, {ca}: {verdict.reason}", "ask the CA for its CAA identity")
    hint = f"change the CAA record at {owner}, or use another CA"
    return Line(Level.BAD if first else Level.WARN, name, f"{where} forbids {ca}: {verdict.reason}", hint)
