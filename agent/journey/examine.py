"""A look at the things that the next install of a certificate depends on: its key, its live files, its sockets."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from cryptography import x509

from agent.journey.due import live_certificates
from agent.journey.ports import Turn
from agent.journey.readers import RIGHTS_HINT, unreadable
from agent.journey.shown import names_in, whose, with_names
from agent.journey.vouch import vouch
from agent.journey.watch import first_look
from agent.model.errors import HostLost
from agent.model.host_key import HostKey
from agent.model.result import Installed
from agent.rules.audit import audit
from agent.rules.conclusion import OTHER_SOCKET, REACHABLE
from agent.rules.evidence import Proof, Sight, judge
from agent.rules.standing import ROOTS_HINT
from agent.rules.targets import ELSEWHERE_HINT, lost_at_update, refuse_dangling, refuse_detours
from agent.rules.verify import installed_in
from common.certificate import Bundle
from common.check_line import BAD, OK, WARN, Line
from common.errors import CertfleetError
from common.names import uncovered
from common.probe.view import Seen

_FIRST = "let the service's configuration name {files}, and leave the reload to `run`, which looks there afterwards"
_SILENT = {Seen.DOWN: f"{_FIRST}; {OTHER_SOCKET}", Seen.UNKNOWN: REACHABLE}
_BLIND = "name one in `probe`; `certfleet-agent presets SERVICE` tells which the service has"
_CHAIN_FIRST = "most services take the first certificate of a file for their own: see that this one does not"
_CHANGED = (BAD, "is not what was installed", "see who changed it; the next run puts it right")
_GONE = (BAD, "was installed, and is gone", "see who removed it; the next run writes it again")
_NEW = (WARN, "is no file of the last install", "the next run writes it")


def examine(turn: Turn) -> Iterator[Line]:
    """One line for each finding; what is well is told too, in one line for each matter. Raises HostLost for a host that
    is away: nothing else is looked at then."""
    yield from _key(turn)
    yield from _files(turn)
    yield from _sockets(turn)


def _key(turn: Turn) -> Iterator[Line]:
    name, file = turn.certificate.name, turn.certificate.key
    try:
        key = turn.tools.keys.load(file)
    except HostLost:
        raise
    except CertfleetError as error:
        yield Line(BAD, name, str(error), error.hint, "key")
    else:
        yield Line(OK, name, f"its key is in {file} ({key.key_type})")
        yield from _readers(turn)
    waiting = turn.certificate.next_key
    if turn.tools.keys.is_there(waiting):
        yield _next_key(turn, waiting)


def _readers(turn: Turn) -> Iterator[Line]:
    """The users of its services, who have to read its files; and the key's own, where none of these holds it."""
    certificate, files = turn.certificate, turn.tools.files
    there = [file.path for file in certificate.files if files.read(file.path) is not None]
    if problem := unreadable(certificate, there, turn.tools):
        yield Line(BAD, certificate.name, f"{problem}: its next start or reload fails", RIGHTS_HINT)
    elif any(file.holds_key for file in certificate.files):
        return
    elif problem := unreadable(certificate, [certificate.key], turn.tools):
        where = "its next start or reload fails, if its configuration names that file"
        yield Line(WARN, certificate.name, f"{problem}: {where}", RIGHTS_HINT)


def _next_key(turn: Turn, file: Path) -> Line:
    name = turn.certificate.name
    try:
        key = turn.tools.keys.load(file)
    except CertfleetError as error:
        return Line(BAD, name, str(error), error.hint)
    return Line(OK, name, f"its next key waits in {file} ({key.key_type}) for a certificate")


def _files(turn: Turn) -> Iterator[Line]:
    """The places, their owners, and whether they hold what was installed."""
    name, files, targets = turn.certificate.name, turn.tools.files, turn.certificate.files
    try:
        real = {target.path: files.locate(target.path) for target in targets}
        refuse_detours(real, turn.tools.protected)
        refuse_dangling(filter(files.is_dangling, real))
        for target in targets:
            files.owner_ids(target.owner, target.group)
            if target.keystore is not None:
                turn.tools.keys.stored(target.keystore, b"")  # raises for its password file
        digests = {str(target.path): files.digest(target.path) for target in targets}
    except CertfleetError as error:
        yield Line(BAD, name, str(error), error.hint)
        return
    for sentence in lost_at_update(real):
        yield Line(WARN, name, sentence, ELSEWHERE_HINT)
    installed = turn.before.installed
    if installed is None:
        for target in targets:
            if target.begins_with_chain:
                yield Line(WARN, name, f"{target.path} holds the chain before the certificate", _CHAIN_FIRST)
    was = installed.files if installed else digests
    changed = [path for path, digest in digests.items() if was.get(path) != digest]
    for path in changed:
        level, what, hint = _NEW if path not in was else _CHANGED if digests[path] else _GONE
        yield Line(level, name, f"{path} {what}", hint, "changed-file")
    if not changed:
        state = "hold what was installed" if installed else "can be written"
        yield Line(OK, name, f"its files {state}: {', '.join(digests)}")
        yield from _certificate(turn)


def _certificate(turn: Turn) -> Iterator[Line]:
    """The certificate in the files, as the clients of this host judge it."""
    name, installed = turn.certificate.name, turn.before.installed
    try:
        key = turn.tools.keys.load(turn.certificate.key)
        bundle = _in_place(turn, key)
        if bundle is None:
            return
        is_whole = bool(bundle.chain) or any("chain" in file.parts for file in turn.certificate.files)
        found = audit(turn.before, turn.certificate.names, bundle, turn.tools.now, whole=is_whole)
        yield from found
        if found or not is_whole:  # for one of these reasons clients may refuse it too; the service has its chain
            return
        _, refused = vouch(turn, bundle, key, None)
    except CertfleetError:
        return  # of its key and files the other lines tell
    level = WARN if installed is None or installed.by_issuer else BAD
    for finding in refused:
        yield Line(level, name, f"its certificate: {finding.problem}", ROOTS_HINT, "root-unknown")


def certificate_in_place(turn: Turn) -> x509.Certificate | None:
    """The certificate of the live files for the key of *turn*. Raises CertfleetError: `examine` tells of that."""
    bundle = _in_place(turn, turn.tools.keys.load(turn.certificate.key))
    return None if bundle is None else bundle.leaf


def _in_place(turn: Turn, key: HostKey) -> Bundle | None:
    return installed_in(live_certificates(turn), key.spki_sha256, placeholder=True)


def _sockets(turn: Turn) -> Iterator[Line]:
    name, installed = turn.certificate.name, turn.before.installed
    sights = first_look(turn)
    if not sights:
        yield Line(WARN, name, "no socket can show it: an install is not proven", _BLIND)
    elif installed is not None:
        yield _compared(turn, sights, installed)
    else:
        yield from _at_first(turn, sights)


def _at_first(turn: Turn, sights: Sequence[Sight]) -> Iterator[Line]:
    """The sockets before the first certificate: each that shows none, and each that shows one of another name."""
    name, names = turn.certificate.name, turn.certificate.names
    answering = [sight for sight in sights if sight.seen is Seen.SERVED]
    strangers = [sight for sight in answering if uncovered(names, names_in(sight.leaf))]
    shown = sorted({sight.target for sight in answering})
    silent = [sight for sight in sights if sight.target not in shown]
    for sight in silent:
        hint = _SILENT.get(sight.seen, _FIRST).format(files=turn.certificate.paths, to_read=turn.certificate.to_read)
        yield Line(WARN, name, f"{sight.target} ({sight.address}) shows no certificate: {sight.problem}", hint)
    hint = _FIRST.format(files=turn.certificate.paths)
    for sight in strangers:
        yield Line(WARN, name, f"{sight.target} ({sight.address}) shows a certificate {whose(sight.leaf)}", hint)
    if not silent and not strangers:
        yield Line(OK, name, f"its sockets answer: {', '.join(shown)}")


def _compared(turn: Turn, sights: tuple[Sight, ...], installed: Installed) -> Line:
    """The certificate on the sockets, beside the one that was installed."""
    name, by_hand = turn.certificate.name, turn.certificate.by_hand
    evidence = judge(sights, installed.sha256, chain=installed.chain, by_hand=by_hand)
    problem = f"serial {installed.serial} is installed, but {with_names(evidence)}"
    if evidence.proof is Proof.PROVEN:
        return Line(OK, name, f"its sockets show what was installed, serial {installed.serial}")
    return Line(BAD, name, problem, "`run` looks again, and says more")
