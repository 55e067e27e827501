"""RFC 2136 UPDATE over TCP, signed with TSIG (RFC 8945). Exact values are added and deleted, never whole RRsets.

One message carries all values of a zone, so that its secondaries get one NOTIFY: BIND delays a second one by five
seconds.
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
from issuer.dns.reading import over_tcp, parsed
from issuer.dns.servers import Server
from issuer.dns.write import refusals

_TTL = 0  # several orders may share one owner: a resolver with the set in its cache would not see the next value
UPDATE_SECONDS = 10.0
_TRIES = 3
_PAUSES = (0.0, 0.4, 0.1)  # seconds by the tries that are left; times a random factor from 1 to 2

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
    """Add and delete exactly these TXT values in one UPDATE. Safe to repeat. Raises DnsError.

    *named*: does the configuration name exactly *zone*? The hint of a refusal depends on it. *seconds*: the time that
    all tries share.

    Returns the server's clock in epoch seconds, from its signature. Silence and SERVFAIL are tried again at once: Knot
    and BIND give either under a burst of updates.
    """
    owner = next(owner for owner, _ in (*add, *delete))
    sent = refusals.SentUpdate(server, zone, key, owner, named)
    ends_at = time.monotonic() + seconds
    for tries_left in reversed(range(_TRIES)):
        now = time.monotonic()
        last = tries_left == 0 or now >= ends_at
        try:
            # each try gets a share of the time that is left, so that one lost packet does not use it up
            answer = _exchange(sent, _message(zone, key, add, delete), (ends_at - now) / (tries_left + 1))
        except TimeoutError as error:
            if last:
                raise refusals.silent(server, zone, seconds) from error
        except dns.exception.DNSException as error:  # only a changed journal can hold such names or values
            raise refusals.impossible(error, zone) from error
        else:
            if answer.rcode() == dns.rcode.NOERROR:
                return _clock(answer)
            if answer.rcode() != dns.rcode.SERVFAIL or last:
                raise refusals.refused(answer.rcode(), sent)
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


def _exchange(sent: refusals.SentUpdate, update: dns.update.UpdateMessage, seconds: float) -> dns.message.Message:
    """The answer; a positive one is verified. Raises TimeoutError without one, DnsError without a connection or with a
    signature that does not hold."""
    try:
        wire = over_tcp(sent.server, update.to_wire(), Deadline(seconds))
    except TimeoutError:
        raise
    except OSError as error:
        raise refusals.unreachable(error, sent.server, sent.zone) from error
    try:
        return parsed(wire, keyring=sent.key, request_mac=update.mac)
    except dns.exception.DNSException as error:
        said = _unverified(wire, update)
        if said is None or said.had_tsig or said.rcode() == dns.rcode.NOERROR:
            raise refusals.not_verified(error, sent, own_clock=time.time(), server_clock=_clock(said)) from error
        return said  # a server that does not know our key refuses without a signature


def _unverified(wire: bytes, update: dns.update.UpdateMessage) -> dns.message.Message | None:
    """The answer without verification: only for the text of an error, never as a success."""
    try:
        answer = parsed(wire, keyring=False)
    except dns.exception.DNSException:
        return None
    return answer if answer.id == update.id else None


def _clock(answer: dns.message.Message | None) -> int:
    """The server's clock in epoch seconds; 0 if the answer is not signed. With BADTIME the "other data" hold it, and
    the signing time is a copy of ours (RFC 8945 §5.2.3)."""
    signatures = list(answer.tsig) if answer is not None and answer.tsig else []
    for record in signatures:
        return int.from_bytes(record.other, "big") if len(record.other) == 6 else int(record.time_signed)
    return 0
