"""A certificate that is due on this host: fetched, verified, and not what files and sockets show yet."""

from collections.abc import Mapping
from pathlib import Path

from agent.journey.answers import circumstances_of
from agent.journey.keep import keep
from agent.journey.next_key import drop_spent, with_key
from agent.journey.ports import Turn
from agent.journey.watch import first_look
from agent.model.certificate import TargetFile
from agent.model.errors import HostLost
from agent.model.host_key import HostKey
from agent.model.live_file import LiveFile, Planned
from agent.model.offer import Mark, Offer
from agent.model.result import Installed, Outcome, Refusal, Result
from agent.model.waiting import GoneBack
from agent.rules.conclusion import conclusion
from agent.rules.evidence import Evidence, Proof, judge
from agent.rules.record import back_off, remembered
from agent.rules.targets import (
    as_left,
    is_as_wanted,
    loses_list,
    refuse_dangling,
    refuse_detours,
    refuse_key,
    rights_of,
    wanted,
)
from agent.rules.verify import installed_in, leaf_in, to_be_shown
from common.certificate import Bundle, fingerprint, not_after, not_before, serial_text
from common.dataclasses import dataclass, replace
from common.errors import CertfleetError


@dataclass(frozen=True, slots=True)
class Due:
    """A certificate that fits its key and all that agent.toml asks for."""

    turn: Turn
    bundle: Bundle
    key: HostKey
    mark: Mark  # this one and the next two are remembered with what comes of it
    circumstances: str
    offered: str  # SHA-256 of leaf and chain, as they were offered
    by_issuer: bool  # no trusted root vouches for it, only the CA of its predecessor
    in_place: Bundle | None = None  # the certificate for the live key that the live files hold
    gone_back: GoneBack | None = None  # a person of this host went back to this one
    switches: bool = False  # the key is the next one, and becomes the live one
    offer: Offer | None = None  # the source's; None for one that was kept here

    @property
    def name(self) -> str:
        return self.turn.certificate.name

    @property
    def key_file(self) -> Path:
        """The file in which *key* is now."""
        certificate = self.turn.certificate
        return certificate.next_key if self.switches else certificate.key

    @property
    def sha256(self) -> str:
        """The fingerprint of the leaf: SHA-256, in hex."""
        return fingerprint(self.bundle.leaf)

    @property
    def chain(self) -> tuple[str, ...]:
        """The digests of the certificates that a service must show beside the leaf."""
        return to_be_shown(self.bundle)

    @property
    def serial(self) -> str:
        """The serial number of the leaf, in hex."""
        return serial_text(self.bundle.leaf)

    @property
    def present_ends(self) -> int | None:
        """The end of what is in place, in epoch seconds, also of one for another key, as on a host that comes from
        another client; None where nothing is that comes from a CA. Raises FileError."""
        leaf = self.in_place.leaf if self.in_place is not None else leaf_in(live_certificates(self.turn))
        return not_after(leaf) if leaf is not None else None

    @property
    def present_serial(self) -> str:
        """The serial number of the certificate in place, in hex; "" for none."""
        return serial_text(self.in_place.leaf) if self.in_place is not None else ""

    @property
    def attempts(self) -> int:
        """How often it was tried before, and refused."""
        refusal = self.turn.before.refusal
        return refusal.attempts if refusal is not None and refusal.sha256 == self.offered else 0

    @property
    def goes_alone(self) -> bool:
        """Did a service go down with it, and others, before?"""
        refusal = self.turn.before.refusal
        return refusal is not None and refusal.alone and refusal.sha256 == self.offered


def plan(due: Due) -> dict[Path, Planned]:
    """Each live file by its real path, in the order of agent.toml; behind them the key's own file where it changes too.
    A link stays and its target changes.

    InstallError for a target that leads where nothing may be written, FileError for one that cannot be looked at.
    """
    tools, targets = due.turn.tools, due.turn.certificate.files
    files = tools.files
    real = {target.path: files.locate(target.path) for target in targets}
    refuse_detours(real, tools.protected)
    refuse_dangling(filter(files.is_dangling, real))
    planned = {}
    for one in targets:
        live = files.read(real[one.path])
        refuse_key(one.path, live)
        rights = rights_of(one, is_new=live is None)
        owner = files.owner_ids(rights.owner, rights.group)
        was = as_left(one, live, due.turn.before.installed)
        planned[real[one.path]] = Planned(live, wanted(one, was, owner, _content(due, one, live)))
    return planned | with_key(due.turn, due.key) if due.switches else planned


def _content(due: Due, one: TargetFile, live: LiveFile | None) -> bytes:
    """The content that the file is to get. Raises ConfigError for a keystore without a password."""
    bundle = due.bundle
    if one.keystore is not None:  # a keystore that others could have put there is not opened
        known = live.content if live is not None and not live.exchangeable else b""
        return due.turn.tools.keys.keystore(one.keystore, bundle.leaf_pem + bundle.chain_pem, due.key, known)
    parts = {"certificate": bundle.leaf_pem, "chain": bundle.chain_pem, "key": due.key.content}
    return b"".join(parts[part] for part in one.parts)


def losing_lists(planned: Mapping[Path, Planned]) -> tuple[str, ...]:
    """A sentence for each file whose access control list does not stay."""
    lost = (file for file, one in planned.items() if one.live is not None and loses_list(one.live, one.new))
    return tuple(f"{file} had an access control list, which would open its key; it has none now" for file in lost)


def in_place_already(due: Due, planned: Mapping[Path, Planned]) -> Evidence | None:
    """The evidence, if files and sockets show just this certificate."""
    turn = due.turn
    if not all(is_as_wanted(one.live, one.new) for one in planned.values()):
        return None
    evidence = judge(first_look(turn), due.sha256, chain=due.chain, by_hand=turn.certificate.by_hand)
    installed = turn.before.installed
    is_known = installed is not None and installed.sha256 == due.sha256
    if evidence.proof is Proof.PROVEN or (is_known and evidence.proof is not Proof.WRONG):
        return evidence
    return None


def unless_in_place(due: Due) -> Due | Result:
    """*due* itself; or the result, where there is nothing to do or nothing can be done. Raises HostLost."""
    try:
        planned = plan(due)
        evidence = in_place_already(due, planned)
    except HostLost:
        raise
    except CertfleetError as error:
        result = due.turn.result(Outcome.FAILED, f"{error}; no live file was touched", error.hint)
        return replace(result, refusal=None)
    if evidence is None:
        return due
    turn = due.turn
    keep([(due.name, due.bundle)], turn.tools)
    return concluded(due, turn.result(*conclusion(evidence, turn.certificate)), planned)


def found_in_files(turn: Turn, key: HostKey) -> Bundle | None:
    """The certificate for this key that the live files hold, with what they hold of its chain. Raises FileError."""
    return installed_in(live_certificates(turn), key.spki_sha256)


def life_in_files(turn: Turn) -> tuple[int, int] | None:
    """Begin and end (epoch seconds) of the certificate in the live files, whosever key it is for; None where none is
    from a CA. Raises FileError."""
    leaf = leaf_in(live_certificates(turn))
    return (not_before(leaf), not_after(leaf)) if leaf is not None else None


def live_certificates(turn: Turn) -> list[bytes]:
    """The certificates (PEM) in each live file that is there. Raises FileError."""
    files = [file for file in turn.certificate.files if {"certificate", "chain"} & set(file.parts)]
    found = ((file, turn.tools.files.read(file.path)) for file in files)
    return [_certificates_in(file, live, turn) for file, live in found if live is not None]


def _certificates_in(file: TargetFile, live: LiveFile, turn: Turn) -> bytes:
    if file.keystore is None:
        return live.content
    return b"" if live.exchangeable else turn.tools.keys.stored(file.keystore, live.content)


def concluded(due: Due, result: Result, planned: Mapping[Path, Planned], *, committed: bool = True) -> Result:
    """*result* with what is remembered of a certificate that is in place, or that was refused. One that is not
    *committed* may go back in the next run, which needs the file of the next key then, or removes it. Raises FileError.
    """
    turn, leaf = due.turn, due.bundle.leaf
    if result.outcome in {Outcome.FAILED, Outcome.BROKEN}:  # the key has gone and come back
        circumstances = circumstances_of(turn) if due.switches else due.circumstances
        return refused(result, turn, due.offered, due.mark, circumstances)
    if not committed:
        circumstances = ""
    else:
        circumstances = circumstances_of(turn) if drop_spent(turn, due.key) or due.switches else due.circumstances
    targets = turn.certificate.files
    installed = Installed(
        sha256=due.sha256,
        serial=due.serial,
        not_before=not_before(leaf),
        not_after=not_after(leaf),
        mark=due.mark,
        files={str(file.path): turn.tools.files.digest(file.path) for file in targets},
        written={str(file.path): one.new.facts for file, one in zip(targets, planned.values(), strict=False)}
        | _key(turn),
        circumstances=circumstances,
        chain=due.chain,
        by_issuer=due.by_issuer,
    )
    past = remembered(turn.before, due.sha256)
    return replace(result, installed=installed, refusal=None, past=past, gone_back=due.gone_back, staged=None)


def _key(turn: Turn) -> dict[str, str]:
    """The facts of the key's own file by its path; none of another machine, which it never leaves."""
    place = turn.certificate.key
    live = turn.tools.files.read(place) if turn.certificate.host is None else None
    return {} if live is None else {str(place): live.facts}


def refused(result: Result, turn: Turn, offered: str, mark: Mark, circumstances: str) -> Result:
    """Remember a certificate that is at fault, so that it is not tried again at every run."""
    refusal = None
    if result.at_fault:
        attempts, until = back_off(turn.before.refusal, offered, turn.tools.now)
        facts = (offered, mark, circumstances, attempts, until)
        refusal = Refusal(result.outcome, result.detail, *facts, result.hint, alone=result.alone)
    return replace(result, refusal=refusal)
