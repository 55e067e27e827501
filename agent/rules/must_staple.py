"""Is a certificate that must be served with a staple (RFC 7633) served so? Pure: looks at sockets in, findings out.

The configuration of three web servers is judged by :mod:`agent.rules.stapling`; a socket shows it for every service.
"""

from collections.abc import Iterator, Sequence

from cryptography import x509

from common.check_line import BAD, WARN, Level, Line
from common.probe.shown import Shown
from common.revocation.state import Status

_HINT = "clients refuse it: put one without that extension (must-staple) in its place, or let the service staple"
_AGAIN = "clients refuse it: see what its responder answers to this host, and when the service asks it"
_UNSEEN = "ask by hand: `openssl s_client -status`"


def socket_findings(name: str, leaf: x509.Certificate, looks: Sequence[Shown], *, installed: bool) -> list[Line]:
    """One for each address that shows *leaf*, which demands a staple, without one that clients take; one where that
    could not be seen. Of a target with addresses of this host only those count. *installed*: the agent has put *leaf*
    in place, so that no first run replaces it."""
    own = {one.place.target for one in looks if one.place.is_own}
    judged = (one for one in looks if one.leaf == leaf and (one.place.is_own or one.place.target not in own))
    level = BAD if installed else WARN
    return [line for one in judged for line in _findings(level, name, one)]


def _findings(level: Level, name: str, one: Shown) -> Iterator[Line]:
    where, staple = f"{one.place.target.text} ({one.place.address})", one.staple
    if staple.is_there is False:
        sentence = f"{where} shows it without a staple, and it must be served with one"
        yield Line(level, name, sentence, _HINT, "must-staple-missing")
    elif staple.is_there and staple.says.status is not Status.GOOD:
        sentence = f"{where} shows it with a staple that clients do not take: {staple.says.sentence}"
        yield Line(level, name, sentence, _AGAIN, "must-staple-not-good")
    elif staple.problem:
        sentence = f"it must be served with a staple, and whether {where} has one cannot be seen: {staple.problem}"
        yield Line(WARN, name, sentence, _UNSEEN, "must-staple-unseen")
