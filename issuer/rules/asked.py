"""The requests for answers to challenges that logs tell of, and the sentences about them. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from common.clock import utc_text
from common.text import some, storable
from issuer.model.asked import Asked, Log, Request
from issuer.rules.log_times import moment_in
from issuer.rules.request_lines import Parser

_LONGEST_LINE = 8192  # characters; the rest of a line is not looked at
_FIRST_LINES = 20  # one of them tells where the end of a log begins
_CLOCK_BEHIND = 0.02  # seconds: BIND logs by the kernel's coarse clock, up to a tick behind ours, cut to milliseconds
_QUOTED = 3  # requests for a name, and names with requests
_LONGEST_WHO, _LONGEST_HOW = 60, 100


def asked_for(
    server: str, wanted: Mapping[str, Sequence[str]], logs: Sequence[Log], since: float, parse: Parser
) -> Asked:
    """The requests since that moment (epoch seconds) that *logs* tell of. *wanted*: for each name that is validated,
    the paths or DNS names, in lower case, by which its answer is asked for."""
    found = {name: _requests(sought, logs, since, parse) for name, sought in wanted.items()}
    missing = tuple(name for name, requests in found.items() if not requests)
    problems = {str(log.file): log.problem or (_gap(log, since) if missing else "") for log in logs}
    unread = tuple((file, problem) for file, problem in problems.items() if problem)
    silent = missing if logs and not unread else ()
    return Asked(server, tuple((name, found[name]) for name in found if found[name]), silent, tuple(problems), unread)


def sentences(asked: Asked) -> list[str]:
    """The facts for people: a few requests, the names for which nobody asked, and the logs that tell nothing."""
    told = [f"our {asked.server} was asked for {name} by {_quoted(each)}" for name, each in asked.requests[:_QUOTED]]
    if more := [name for name, _ in asked.requests[_QUOTED:]]:
        told.append(f"it was also asked for {some(more)}")
    if asked.silent:
        told.append(f"nobody asked our {asked.server} for {some(asked.silent)}, as {some(asked.logs)} shows")
    return told + [f"{file} {problem}" for file, problem in asked.unread]


def advice(asked: Asked) -> str:
    """The hint about names for which nobody asked; "" where there are none."""
    if not asked.silent:
        return ""
    return f"look for a firewall before our {asked.server}, and for other addresses in DNS"


def _requests(sought: Sequence[str], logs: Sequence[Log], since: float, parse: Parser) -> tuple[Request, ...]:
    found = [
        request
        for log in logs
        for text in sought
        for line in _lines_with(text, log.text)
        if (request := parse(line, text, since)) is not None and _is_since(request.at, since)
    ]
    return tuple(sorted(found, key=lambda request: request.at))


def _is_since(at: float, since: float) -> bool:
    """Most logs keep no parts of a second."""
    began = since - _CLOCK_BEHIND
    return at >= (began if at % 1 else int(began))


def _lines_with(text: str, log: bytes) -> Iterator[str]:
    folded, wanted, end = log.lower(), text.lower().encode(), 0
    while (found := folded.find(wanted, end)) >= 0:
        start, end = log.rfind(b"\n", 0, found) + 1, log.find(b"\n", found)
        end = len(log) if end < 0 else end
        yield log[start : min(end, start + _LONGEST_LINE)].decode("utf-8", "replace")


def _gap(log: Log, since: float) -> str:
    """Why *log* cannot show that nobody asked since that moment; "" if it can."""
    if log.written <= since:
        return ""
    first = log.text[: _FIRST_LINES * _LONGEST_LINE].decode("utf-8", "replace").splitlines()[:_FIRST_LINES]
    moments = [moment for line in first if (moment := moment_in(line, since)) is not None]
    if first and not moments:
        return "has no times that certfleet can read"
    return "" if moments and min(moments) <= since else f"does not reach back to {utc_text(since)}"


def _quoted(requests: Sequence[Request]) -> str:
    differing = list({(request.who, request.how): request for request in reversed(requests)}.values())[::-1]
    shown = [
        f"{storable(each.who, _LONGEST_WHO)} at {utc_text(each.at)} ({storable(each.how, _LONGEST_HOW)})"
        for each in differing[:_QUOTED]
    ]
    more = len(requests) - len(shown)
    return ", ".join(shown) + (f" and {more} more times" if more else "")
