"""All writing of DNS: RFC 2136 UPDATE over TCP, signed with TSIG (RFC 8945). Values are added and deleted exactly.

One message a zone carries every value, so that a secondary is told once: BIND holds back the second NOTIFY of a zone
by five seconds.
"""

import random
import time
from collections.abc import Sequence

import dns.exception
import dns.message
import dns.rcode
import dns.tsig
import dns.update

from common.deadline import Deadline
from issuer.dns.over_tcp import over_tcp
from issuer.dns.servers import Server
from issuer.dns.write import refusals

_TTL = 0  # several orders may share one owner: a resolver that kept the set would not show the CA the next value
UPDATE_SECONDS = 10.0
_TRIES = 3
_PAUSES = (0.0, 0.4, 0.1)  # seconds, by the tries that are left, and up to twice that by chance

TxtValue = tuple[str, str]
"""(owner name, value)"""


def change_txt(
    server: Server,
    zone: str,
    key: dns.tsig.Key,
    *,
    add: Sequence[TxtValue] = (),
    delete: Sequence[TxtValue] = (),
    named: bool = False,
    seconds: float = UPDATE_SECONDS,
) -> int:
    """Add and delete exactly these TXT values in one UPDATE. Both can be repeated without harm. Raises DnsError.

    *named*: does the configuration name that very zone? What is to be done about a refusal depends on it.
    *seconds*: the time that all tries share.

    Returns the server's clock in epoch seconds, as its signature tells it. Silence and SERVFAIL are tried again at
    once: servers under a burst of updates (Knot, or BIND while it writes its journal) give either.
    """
    owner = next(owner for owner, _ in (*add, *delete))
    asked = refusals.Asked(server, zone, key, owner, named)
    ends_at = time.monotonic() + seconds
    for tries_left in reversed(range(_TRIES)):
        now = time.monotonic()
        last = tries_left == 0 or now >= ends_at
        try:
            # each try has its share of the time that is left, so that one lost packet does not use it up
            answer = _exchange(asked, _message(zone, key, add, delete), (ends_at - now) / (tries_left + 1))
        except TimeoutError as error:
            if last:
                raise refusals.silent(server, zone, seconds) from error
        except dns.exception.DNSException as error:  # names, values or a size that only a changed journal can bring
            raise refusals.impossible(error, zone) from error
        else:
            if answer.rcode() == dns.rcode.NOERROR:
                return _clock(answer)
            if answer.rcode() != dns.rcode.SERVFAIL or last:
                raise refusals.refused(answer.rcode(), asked)
        time.sleep(_PAUSES[tries_left] * random.uniform(1, 2))
    raise RuntimeError("not reached")


def _message(
    zone: str, key: dns.tsig.Key, add: Sequence[TxtValue], delete: Sequence[TxtValue]
) -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage(f"{zone}.", keyring=key)
    for owner, value in delete:
        update.delete(f"{owner}.", "TXT", f'"{value}"')
    for owner, value in add:
        update.add(f"{owner}.", _TTL, "TXT", f'"{value}"')
    return update


def _exchange(asked: refusals.Asked, update: dns.update.UpdateMessage, seconds: float) -> dns.message.Message:
    """The answer, verified when it says yes. TimeoutError when there is none; DnsError when it cannot be had at all."""
    try:
        wire = over_tcp(asked.server, update.to_wire(), Deadline(seconds))
    except TimeoutError:
        raise
    except OSError as error:
        raise refusals.unreachable(error, asked.server, asked.zone) from error
    try:
        return dns.message.from_wire(wire, keyring=asked.key, request_mac=update.mac)
    except dns.exception.DNSException as error:
        said = _unverified(wire, update)
        if said is None or said.had_tsig or said.rcode() == dns.rcode.NOERROR:
            clocks = refusals.Clocks(time.time(), _clock(said))
            raise refusals.not_verified(error, asked, clocks) from error
        return said  # who does not know our key, or us, says no without a signature


def _unverified(wire: bytes, update: dns.update.UpdateMessage) -> dns.message.Message | None:
    """What an answer says that could not be verified: good enough to explain a failure, never to report success."""
    try:
        answer = dns.message.from_wire(wire, keyring=False)
    except dns.exception.DNSException:
        return None
    return answer if answer.id == update.id else None


def _clock(answer: dns.message.Message | None) -> int:
    """The server's clock in epoch seconds; 0 when the answer does not tell. RFC 8945 §5.2.3: with BADTIME the server's
    time stands in the "other data", and the signing time is a copy of ours."""
    signatures = list(answer.tsig) if answer is not None and answer.tsig else []
    for record in signatures:
        return int.from_bytes(record.other, "big") if len(record.other) == 6 else int(record.time_signed)
    return 0
