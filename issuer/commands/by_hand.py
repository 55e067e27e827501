"""challenges, solve, request: one certificate step by step, while a person publishes the challenges."""

import argparse
import time
from collections.abc import Callable, Sequence
from shlex import quote

from common.clock import utc_text
from common.command_line import report, say
from common.config_file import load
from common.errors import LockedError, UsageError
from issuer.commands.wiring import alone, build_tools, owner
from issuer.journey.by_hand import OfferedChallenge, by_hand, open_by_hand, request_by_hand, solve_by_hand
from issuer.journey.ports import Tools
from issuer.model.acme import Challenge
from issuer.model.config import Settings
from issuer.model.enrolment import Enrolment
from issuer.store.certificates import Certificates
from issuer.store.overview import OrderUnderWay, Overview
from issuer.store.revision import open_database

_STOP = "a step by hand needs it, so stop the daemon meanwhile: `systemctl stop certfleet-issuer-daemon`"


def challenges(arguments: argparse.Namespace) -> int:
    """Open an order and print what to publish."""

    def work(row: Enrolment, tools: Tools) -> int:
        staged = open_by_hand(row, by_hand(tools))
        if arguments.json:
            report([_document(entry, staged.offered) for entry in staged.answers])
            return 0
        for entry in staged.answers:
            say(*tools.solvers[entry.type].type.instruction(entry).split("\n"))
        if not staged.answers:
            say("nothing is to be published: the CA has validated every name already")
        say(f"then: certfleet-issuer solve {quote(row.name)}")
        _show_offered(staged.offered)
        return 0

    return _with_row(arguments, work)


def _document(entry: Challenge, offered: Sequence[OfferedChallenge]) -> dict[str, object]:
    shown = ("type", "identifier", "owner", "value")
    choice = [_raw(one) for one in offered if one.authorization_url == entry.authorization_url]
    return {key: getattr(entry, key) for key in shown} | {"offered": choice}


def _raw(one: OfferedChallenge) -> dict[str, str]:
    challenge = one.challenge
    facts = {"type": challenge.type, "status": challenge.status, "url": challenge.url, "token": challenge.token}
    return {"name": one.name, **facts, "publish": one.publish}


def _show_offered(offered: Sequence[OfferedChallenge]) -> None:
    say("the CA offers:" if offered else "the CA offers no challenge")
    for fact in map(_raw, offered):
        say(f"{fact['name']}  {fact['type']}  {fact['status']}")
        for key in ("url", "token"):
            say(f"    {key:8}{fact[key] or '-'}")
        say(*f"    publish {fact['publish'] or '-'}".split("\n"))


def solve(arguments: argparse.Namespace) -> int:
    """Look whether the answers are published, let the CA validate them, and wait for the result."""

    def work(row: Enrolment, tools: Tools) -> int:
        laggards = solve_by_hand(row, by_hand(tools), real=tools, unseen_is_fine=arguments.force)
        for laggard in laggards:
            say(f"not there yet: {laggard}")
        if laggards:
            say("the CA was not asked; solve again later")
            return 1
        say(f"validated; then: certfleet-issuer request {quote(row.name)}")
        return 0

    return _with_row(arguments, work)


def request(arguments: argparse.Namespace) -> int:
    """Hand in the CSR and store the certificate."""

    def work(row: Enrolment, tools: Tools) -> int:
        say(f"{row.name}: stored ({request_by_hand(row, by_hand(tools))})")
        say("what you published by hand may be removed")
        return 0

    return _with_row(arguments, work)


def _with_row(arguments: argparse.Namespace, work: Callable[[Enrolment, Tools], int]) -> int:
    settings = load(Settings, arguments.config)
    with alone(settings, doing="certfleet-issuer, staged by hand", beside_daemon=_STOP):
        database = open_database(settings.database)
        row = Certificates(database).get([arguments.name])[0]
        if row.imported and row.change is None:
            hint = "`populate --replace NAME --csr FILE` moves it to ACME"
            raise UsageError(f"{row.name} is imported, so not ours to issue", hint=hint)
        refuse_leased(row.name, Overview(database).order(row.name), owner(settings))
        try:
            return work(row, build_tools(settings, database))
        finally:
            database.close()


def refuse_leased(name: str, order: OrderUnderWay | None, me: str) -> None:
    """Raise LockedError while another issuer has the lease on the order; *me* is the owner of our own leases."""
    if order is None or order.lease_owner == me or not order.leased(time.time()):
        return
    raise LockedError(
        f"another issuer, {order.lease_owner}, works on the order for {name} until {utc_text(order.lease_until)}",
        hint="let it finish; if it is dead, the order is free after that moment",
    )
