"""The addresses of many hosts as each resolver has them, with the time for which it keeps them."""

from collections.abc import Iterable, Mapping, Sequence

from issuer.dns.asking import NoAnswer, Question, ask_all
from issuer.dns.servers import Server, addresses_in, question
from issuer.model.errors import DnsError

_MOST = 64  # addresses of one host: whoever answers for a name can give it thousands


def addresses_and_ttls(resolvers: Sequence[Server], hosts: Iterable[str]) -> Mapping[str, Mapping[str, int]]:
    """The seconds for which an answer may be kept, by host and address; of several resolvers the most.

    It is the smallest TTL of the answer, aliases included. A resolver counts it down, so the zone's own may be larger.
    """
    asked: list[tuple[str, Question]] = []
    for host in hosts:
        for kind in ("A", "AAAA"):
            try:
                query = question(host, kind, recursive=True)
            except DnsError:  # no name that DNS can carry; the system's resolver says so
                continue
            asked += [(host, (server, query)) for server in resolvers]
    found: dict[str, dict[str, int]] = {}
    for (host, _), answer in zip(asked, ask_all([each for _, each in asked]), strict=True):
        if isinstance(answer, NoAnswer):
            continue
        known, ttl = found.setdefault(host, {}), min((rrset.ttl for rrset in answer.answer), default=0)
        for address in addresses_in(answer.answer)[:_MOST]:
            known[address] = max(ttl, known.get(address, 0))
    return found
