"""Looks at many services side by side: each address, name and type of key, and the staple; then asks about revocation.

A look never raises: what goes wrong is what was seen.
"""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import TypeVar

from common.certificate import PARSE_ERRORS, fingerprint
from common.dataclasses import replace
from common.errors import CertfleetError, Finding
from common.probe.addresses import Address, address_text, addresses, is_of_this_host
from common.probe.look import look, why
from common.probe.shown import Place, Shown, Staple, shown_at
from common.probe.staple import NotSeen, stapled
from common.probe.target import ProbeTarget
from common.probe.verdict import Lookup, unverifiable, verdict
from common.probe.view import KeyType, Seen, View, key_type_of
from common.revocation import Kept, Limits, Revocation, ask, ocsp
from common.terminal import PROGRESS
from common.threads import each_on_thread

T = TypeVar("T")
Item = TypeVar("Item")
SECONDS = 10.0  # for one look
_AT_ONCE = 32
_TYPES: tuple[KeyType, ...] = ("rsa", "ecdsa")
_FAMILIES: dict[int, str] = {socket.AF_INET: "IPv4", socket.AF_INET6: "IPv6"}
_PAUSE = 1.0  # seconds until a server that had no staple is asked again
_Spot = tuple[ProbeTarget, Address | None, str]
"""A target and one of its addresses; or None, and why the target has none."""
Wanted = tuple[ProbeTarget, Sequence[str]]
"""A target, and the names that each of its addresses is asked for."""


def survey(targets: Sequence[ProbeTarget], names: Sequence[str], lookup: Lookup, now: float) -> list[Shown]:
    """Look at all *targets*, in their order; one Shown for each certificate at each address and name. *names*: those to
    ask for instead of each target's own, if any. *lookup*: what the database has. *now*: epoch seconds."""
    found = looks([(target, names or [target.server_name]) for target in targets], now)
    leaves = {fingerprint(one.leaf): one for one in found if one.leaf is not None}
    ask_one = partial(_revocation, now=now, kept=Kept())
    answers = _each(ask_one, list(leaves.values()), "certificates asked about, whether they are revoked")
    said = dict(zip(leaves, answers, strict=True))
    known = [one if one.leaf is None else replace(one, revocation=said[fingerprint(one.leaf)]) for one in found]
    return list(_judged(known, lookup))


def looks(wanted: Sequence[Wanted], now: float) -> list[Shown]:
    """The looks of `survey` alone: neither a CA nor the database is asked."""
    spots = _each(_spots, [target for target, _ in wanted], "targets looked up")
    asked = [(spot, name) for some, (_, names) in zip(spots, wanted, strict=True) for spot in some for name in names]
    return list(chain.from_iterable(_each(lambda each: list(_at(*each, now)), asked, "looks done")))


def _each(work: Callable[[Item], T], items: Sequence[Item], what: str) -> Iterator[T]:
    """The results in the order of *items*; a terminal shows how many are done."""
    PROGRESS.tell(f"0 of {len(items)} {what}")
    for number, one in enumerate(each_on_thread(work, items, _AT_ONCE), 1):
        result = one.result()
        PROGRESS.tell(f"{number} of {len(items)} {what}")
        yield result


def _spots(target: ProbeTarget) -> list[_Spot]:
    try:
        return [(target, address, "") for address in addresses(target)]
    except (OSError, UnicodeError) as error:
        return [(target, None, why(error))]


def _at(spot: _Spot, name: str, now: float) -> Iterator[Shown]:
    """A Shown for each certificate at this spot; one that tells the problem where there is none."""
    target, address, problem = spot
    if address is None:
        place = Place(target, name, target.connect_host)
        yield Shown(place, View(Seen.UNKNOWN, f"{target.connect_host} has no address ({problem})"))
        return
    place = Place(target, name, address_text(address), _FAMILIES.get(address[0], ""), is_of_this_host(address))
    for view in _views(target, address, name):
        one = shown_at(place, view)
        yield replace(one, staple=_staple(one, address, now)) if _may_staple(target) else one


def _may_staple(target: ProbeTarget) -> bool:
    """May the service be asked for a staple? Not by EAP, where we cannot. MySQL has none at all, and blocks a host that
    leaves too many handshakes."""
    return target.login is None and target.scheme != "mysql"


def _views(target: ProbeTarget, address: Address, name: str) -> Iterator[View]:
    """The view of most clients; and that of clients with the other type of key, if it is another certificate."""
    first = look(target, address, name, SECONDS)
    yield first
    leaves = {*first.shown[:1]}
    for key_type in _TYPES if first.seen is Seen.SERVED else ():
        view = look(target, address, name, SECONDS, key_type)
        if view.seen is Seen.SERVED and view.shown[0] not in leaves:
            leaves.add(view.shown[0])
            yield view


def _staple(one: Shown, address: Address, now: float) -> Staple:
    if one.leaf is None:
        return Staple(None, problem="no certificate is shown")
    target, name = one.place.target, one.place.name
    try:
        answered = stapled(target, address, name, SECONDS, key_type_of(one.view.shown[0]))
        if not answered.staple and ocsp.responders(one.leaf):
            time.sleep(_PAUSE)  # nginx fetches its first staple when a client has asked for it
            answered = stapled(target, address, name, SECONDS, key_type_of(one.view.shown[0]))
    except (NotSeen, *PARSE_ERRORS) as error:
        return Staple(None, problem=str(error))
    if answered.shown[:1] != one.view.shown[:1]:
        return Staple(None, problem="another certificate is shown meanwhile")
    if not answered.staple:
        return Staple(is_there=False)
    if one.issuer is None:
        return Staple(True, Revocation(("staple",), problems=(_NO_ISSUER,)))
    return Staple(True, ocsp.judge(answered.staple, one.leaf, one.issuer, "staple", now))


def _revocation(one: Shown, now: float, kept: Kept) -> Revocation:
    """Ask the issuer whether it has revoked the certificate. Nobody is asked where the service does not show the
    issuer's own certificate."""
    if one.leaf is None or one.issuer is None:
        return Revocation(problems=(_NO_ISSUER,))
    return ask(one.leaf, one.issuer, Limits(SECONDS), now, kept)


_NO_ISSUER = Finding("", "the certificate of its issuer is not shown")


def _judged(all_shown: Sequence[Shown], lookup: Lookup) -> Iterator[Shown]:
    """Each look with its verdict; the database is asked once for all."""
    hosts: dict[str, set[str]] = {}
    for one in all_shown:
        if one.leaf is not None:
            hosts.setdefault(one.place.host, set()).add(fingerprint(one.leaf))
    try:
        stored = lookup({host: frozenset(shown) for host, shown in hosts.items()}) if hosts else {}
    except CertfleetError as error:
        yield from (replace(one, verdict=unverifiable(str(error))) for one in all_shown)
        return
    for one in all_shown:
        yield one if one.leaf is None else replace(one, verdict=verdict(one.leaf, stored.get(one.place.host, ())))
