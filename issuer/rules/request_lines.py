"""Requests in the lines of access logs and query logs. Pure.

Access logs: the common and the combined form of nginx and Apache, with or without a host before it, and the JSON of
Caddy. Query logs: BIND's categories queries, query-errors and security, and PowerDNS' log-dns-queries. Knot and NSD
write no such log.
"""

import re
from collections.abc import Callable
from datetime import tzinfo

from common.egress.needs import is_ip
from common.strict_json import parse_json
from issuer.model.asked import Request
from issuer.rules.log_times import moment_in

OUR_AGENT = "certfleet"

Parser = Callable[[str, str, float], Request | None]
"""(line, the path or name that is looked for, a moment near by) → the request for it; None for any other line."""

_QUOTED = r'"((?:[^"\\]|\\.)*)"'
_ACCESS = re.compile(rf'([^\[]*)\[([^\]]*)\] "[A-Z]+ ([^ "]+)(?: [^"]*)?" (\d{{3}})(?: \S+ {_QUOTED} {_QUOTED})?')
_CLIENT = r".{0,200}?client (?:@\S+ )?(?P<who>[^\s#]+)#\d+.*?: "  # bounded: who asks chooses much of the line
_QUERY = [
    re.compile(_CLIENT + r"query: (?P<name>\S+) \S+ (?P<type>\S+)"),
    re.compile(_CLIENT + r"query failed \((?P<how>[^)]*)\) for (?P<name>[^\s/]+)/\w+/(?P<type>\w+)"),
    re.compile(_CLIENT + r"query(?: \(cache\))? '(?P<name>[^\s/']+)/(?P<type>\w+)/\w+' (?P<how>denied)"),
    re.compile(r".{0,200}?Remote (?P<who>[^\s<]+)\S* wants '(?P<name>[^\s|']+)\|(?P<type>\w+)'"),
]


def web_request(line: str, path: str, near: float) -> Request | None:
    """The request for *path* that *line* of an access log tells of. Our own look is left out."""
    who, moment, asked, status, agent = _of_json(line, near) if line.startswith("{") else _of_text(line, near)
    if asked.partition("?")[0] != path or moment is None or agent == OUR_AGENT:
        return None
    return Request(who, moment, f"{status}, {agent}" if agent not in ("", "-") else status)


def dns_request(line: str, owner: str, near: float, local: tzinfo | None = None) -> Request | None:
    """The question about *owner*, in lower case, that *line* of a query log tells of. Resolvers mix the case of a name
    on purpose."""
    for pattern in _QUERY:
        if (match := pattern.match(line)) and match["name"].rstrip(".").lower() == owner:
            moment, how = moment_in(line[: match.start("who")], near, local), match.groupdict().get("how")
            told = f"{match['type']}, {how}" if how else match["type"]
            return None if moment is None else Request(match["who"], moment, told)
    return None


_Parts = tuple[str, float | None, str, str, str]  # who, moment, path, status, user agent
_NOTHING: _Parts = ("", None, "", "", "")


def _of_text(line: str, near: float) -> _Parts:
    match = _ACCESS.match(line)
    if match is None:
        return _NOTHING
    head, moment, path, status, _, agent = match.groups()
    words = head.split() or ["-"]
    who = next((word for word in words if is_ip(word)), words[0])
    return who, moment_in(moment, near), path, status, agent or ""


def _of_json(line: str, near: float) -> _Parts:
    try:
        entry = parse_json(line)
        request = entry["request"]
        who = request.get("client_ip") or request["remote_ip"]
        agents = request.get("headers", {}).get("User-Agent") or [""]
        moment = moment_in(f'"ts":{entry["ts"]}', near)
        return str(who), moment, str(request["uri"]), str(entry["status"]), str(agents[0])
    except (ValueError, TypeError, KeyError, AttributeError):
        return _NOTHING
