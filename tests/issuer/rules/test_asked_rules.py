"""Requests in the logs of our own servers: lines of each make, and what is made of them."""

import time
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from pathlib import Path

import pytest

from issuer.model.asked import Log, Request
from issuer.rules.asked import advice, asked_for, sentences
from issuer.rules.log_times import moment_in
from issuer.rules.request_lines import dns_request, web_request

AT = datetime(2026, 11, 29, 13, 0, 5, tzinfo=UTC).timestamp()
PATH = "/.well-known/acme-challenge/evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr_oA"
OWNER = "_acme-challenge.www.example.com"
CA = "Mozilla/5.0 (compatible; Let's Encrypt validation server; +https://www.letsencrypt.org)"
FILE = Path("/var/log/nginx/access.log")

WEB = {
    "combined, as nginx and Apache write it": (
        f'203.0.113.7 - - [29/Nov/2026:13:00:05 +0000] "GET {PATH} HTTP/1.1" 404 153 "-" "{CA}"',
        Request("203.0.113.7", AT, f"404, {CA}"),
    ),
    "another zone, IPv6": (
        f'2001:db8::7 - - [29/Nov/2026:18:30:05 +0530] "GET {PATH} HTTP/1.1" 200 87 "-" "-"',
        Request("2001:db8::7", AT, "200"),
    ),
    "common": (
        f'203.0.113.7 - - [29/Nov/2026:13:00:05 +0000] "GET {PATH} HTTP/1.0" 301 -',
        Request("203.0.113.7", AT, "301"),
    ),
    "Apache's vhost_combined": (
        f'www.example.com:80 203.0.113.7 - - [29/Nov/2026:13:00:05 +0000] "GET {PATH}?a=b HTTP/1.1" 403 1 "-" '
        '"x \\"y\\""',
        Request("203.0.113.7", AT, '403, x \\"y\\"'),
    ),
    "a host name in place of its address": (
        f'ca.example.net - - [29/Nov/2026:13:00:05 +0000] "GET {PATH} HTTP/1.1" 200 87',
        Request("ca.example.net", AT, "200"),
    ),
    "Caddy": (
        '{"level":"info","ts":1795957205.5,"logger":"http.log.access","msg":"handled request","request":{"remote_ip":'
        f'"203.0.113.7","client_ip":"203.0.113.7","method":"GET","host":"www.example.com","uri":"{PATH}","headers":'
        f'{{"User-Agent":["{CA}"]}}}},"status":404}}',
        Request("203.0.113.7", AT + 0.5, f"404, {CA}"),
    ),
    "our own look": (f'127.0.0.1 - - [29/Nov/2026:13:00:05 +0000] "GET {PATH} HTTP/1.1" 200 87 "-" "certfleet"', None),
    "another token": (f'203.0.113.7 - - [29/Nov/2026:13:00:05 +0000] "GET {PATH}A HTTP/1.1" 404 153', None),
    "the token elsewhere in the line": (
        f'203.0.113.7 - - [29/Nov/2026:13:00:05 +0000] "GET / HTTP/1.1" 200 153 "http://x{PATH}" "GET {PATH} "',
        None,
    ),
    "no time": (f'203.0.113.7 - - [now] "GET {PATH} HTTP/1.1" 404 153', None),
    "a broken document": ('{"request":{"uri":"' + PATH, None),
    "a document of another kind": (f'{{"request":["{PATH}"]}}', None),
}

DNS = {
    "BIND": (
        "29-Nov-2026 13:00:05.250 queries: info: client @0x7f3f8c0 203.0.113.66#49152 "
        "(_aCMe-challenge.www.EXAMPLE.com): query: _aCMe-challenge.www.EXAMPLE.com IN TXT -E(0)DC (192.0.2.53)",
        Request("203.0.113.66", AT + 0.25, "TXT"),
    ),
    "BIND, in a view, with a key, by syslog": (
        "Nov 29 13:00:05 ns1 named[812]: client @0x7f3f8c0 2001:db8::66#49152/key certfleet "
        f"({OWNER}): view outer: query: {OWNER} IN CAA +S (192.0.2.53)",
        Request("2001:db8::66", AT, "CAA"),
    ),
    "BIND, refused": (
        f"2026-11-29T13:00:05.000Z query-errors: info: client @0x7f 203.0.113.66#4 ({OWNER}): query failed (REFUSED) "
        f"for {OWNER}/IN/TXT at ../../../lib/ns/query.c:5498",
        Request("203.0.113.66", AT, "TXT, REFUSED"),
    ),
    "BIND, denied": (
        f"29-Nov-2026 13:00:05.000 security: info: client @0x7f 203.0.113.66#4 ({OWNER}): query (cache) "
        f"'{OWNER}/TXT/IN' denied",
        Request("203.0.113.66", AT, "TXT, denied"),
    ),
    "PowerDNS": (
        f"Nov 29 13:00:05 Remote 203.0.113.66 wants '{OWNER}|TXT', do = 1, bufsize = 1232 (4096): packetcache MISS",
        Request("203.0.113.66", AT, "TXT"),
    ),
    "PowerDNS by a resolver that tells its client's network": (
        "2026-11-29T14:00:05+01:00 ns1 pdns_server[3]: Remote 203.0.113.66<-198.51.100.0/24 wants "
        f"'{OWNER}|TXT', do = 0",
        Request("203.0.113.66", AT, "TXT"),
    ),
    "another name": (
        f"29-Nov-2026 13:00:05.250 client @0x7f 203.0.113.66#4 (x.{OWNER}): query: x.{OWNER} IN TXT - (192.0.2.53)",
        None,
    ),
    "an update of ours": (
        f"29-Nov-2026 13:00:05.250 update: info: client @0x7f 192.0.2.1#4/key certfleet: updating zone '{OWNER}/IN': "
        f"adding an RR at '{OWNER}' TXT \"a\"",
        None,
    ),
    "no time": (f"client @0x7f 203.0.113.66#4 ({OWNER}): query: {OWNER} IN TXT - (192.0.2.53)", None),
}


@pytest.mark.parametrize("case", WEB)
def test_a_line_of_an_access_log(case: str) -> None:
    """Who asked for exactly this file, when, and what the answer was."""
    line, request = WEB[case]
    assert web_request(line, PATH, AT) == request


@pytest.mark.parametrize("case", DNS)
def test_a_line_of_a_query_log(case: str) -> None:
    """Who asked for exactly this name, when, and for which type; resolvers mix its case."""
    line, request = DNS[case]
    assert dns_request(line, OWNER, AT, UTC) == request


@pytest.mark.parametrize(
    ("line", "moment"),
    [
        ("29-Nov-2026 13:00:05.250 x", AT + 0.25),
        ("29-Nov-2026 13:00:05 x", AT),
        ("2026-11-29T13:00:05.123456789+00:00 x", AT + 0.123456),
        ("2026-11-29 13:00:05 x", AT),
        ("Nov  9 13:00:05 x", AT - 20 * 86400),
        ('"ts":1795957205.5,', AT + 0.5),
        ('- [29/Nov/2026:13:00:05 +0000] "GET /2020-01-01T00:00:00 HTTP/1.1"', AT),
        ("31-Feb-2026 13:00:05", None),
        ("Feb 31 13:00:05", None),
        ("a line without a moment", None),
    ],
)
def test_moments(line: str, moment: float | None) -> None:
    """The first one in the line counts: later ones may be a stranger's."""
    found = moment_in(line, AT, UTC)
    assert found == (None if moment is None else pytest.approx(moment, abs=1e-5))


class Autumn(tzinfo):
    """Central Europe in the hour that comes twice (PEP 495)."""

    def utcoffset(self, moment: datetime | None) -> timedelta:
        return timedelta(hours=1 if moment is not None and moment.fold else 2)

    def dst(self, moment: datetime | None) -> timedelta:
        return self.utcoffset(moment) - timedelta(hours=1)

    def tzname(self, _moment: datetime | None) -> str:
        return "here"


@pytest.mark.parametrize("hour", [0, 1], ids=["summer time", "winter time"])
def test_an_hour_that_comes_twice(hour: int) -> None:
    """The log has no zone: of the two moments it is the one that is near."""
    moment = datetime(2026, 10, 25, hour, 30, 20, tzinfo=UTC).timestamp()
    assert moment_in("25-Oct-2026 02:30:20 queries: info", moment + 5, Autumn()) == moment


def test_a_moment_without_year_or_zone() -> None:
    """The zone is that of the machine. At the turn of the year it is the year that is near; 29 February is in few."""
    east = timezone(timedelta(hours=9))
    assert moment_in("29-Nov-2026 22:00:05.000", AT, east) == AT
    new_year = datetime(2027, 1, 1, 0, 0, 5, tzinfo=UTC).timestamp()
    assert moment_in("Dec 31 23:59:55", new_year, UTC) == new_year - 10
    assert moment_in("Jan  1 00:00:05", new_year - 10, UTC) == new_year
    leap_day = datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp()
    for later in (0, 86400, 330 * 86400):
        assert moment_in("Feb 29 12:00:00", leap_day + later, UTC) == leap_day
    assert moment_in("Feb 28 12:00:00", leap_day, UTC) == leap_day - 86400


def line(who: str, at: float, path: str = PATH, agent: str = CA) -> str:
    moment = datetime.fromtimestamp(at, UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return f'{who} - - [{moment}] "GET {path} HTTP/1.1" 404 153 "-" "{agent}"\n'


def told(*lines: str, written: float = AT + 9, problem: str = "", names: tuple[str, ...] = ("www.example.com",)) -> str:
    wanted = {name: [PATH if name.startswith("www") else f"/{name}"] for name in names}
    log = Log(FILE, "".join(lines).encode(), written, problem)
    asked = asked_for("web server", wanted, [log], AT + 0.7, web_request)
    assert bool(advice(asked)) == ("nobody" in "; ".join(sentences(asked)))
    return "; ".join(sentences(asked))


def test_requests_since_the_ca_was_told() -> None:
    """Earlier ones are others'. The log keeps no parts of a second, so those of the same second count."""
    said = told(line("192.0.2.1", AT - 1), line("203.0.113.7", AT), line("203.0.113.8", AT + 2))
    assert said == (
        f"our web server was asked for www.example.com by 203.0.113.7 at 2026-11-29T13:00:05Z (404, {CA}), "
        f"203.0.113.8 at 2026-11-29T13:00:07Z (404, {CA})"
    )


@pytest.mark.parametrize(("at", "counts"), [(0.5, False), (0.69, True), (0.7, True)])
def test_a_clock_that_is_a_tick_behind(at: float, counts: bool) -> None:
    """BIND logs a question up to a tick of the kernel before the moment at which it came."""
    moment = datetime.fromtimestamp(AT + at, UTC).isoformat(timespec="milliseconds")
    text = f"{moment} client @0x7f 203.0.113.66#4 ({OWNER}): query: {OWNER} IN TXT - (192.0.2.53)"
    log = Log(FILE, text.encode(), AT + 9)
    asked = asked_for("name server", {"www.example.com": [OWNER]}, [log], AT + 0.7, dns_request)
    assert bool(asked.requests) == counts


def test_a_few_of_many() -> None:
    """Each asker once, and a count; of many names some, and a count."""
    many = [line(f"203.0.113.{n % 5}", AT + n) for n in range(50)]
    said = told(*many)
    assert said.count(" at ") == 3
    assert said.endswith("and 47 more times")
    names = tuple(f"n{n}.example.com" for n in range(9))
    said = told(*(line("203.0.113.7", AT, f"/{name}") for name in names), names=names)
    assert said.count("was asked for") == 3
    assert said.endswith("it was also asked for n3.example.com, n4.example.com, n5.example.com and 3 more")


def test_nobody_asked() -> None:
    """Said only of a log that covers the time: by its first line, or because nothing was written since."""
    nobody = f"nobody asked our web server for www.example.com, as {FILE} shows"
    assert told(line("192.0.2.1", AT - 60, "/"), line("192.0.2.1", AT + 3, "/")) == nobody
    assert told("an odd line\n", written=AT - 3600) == nobody
    assert told(written=AT) == nobody
    gap = f"{FILE} does not reach back to 2026-11-29T13:00:05Z"
    assert told(line("192.0.2.1", AT + 3, "/")) == gap
    assert told() == gap
    assert told("an odd line\n") == f"{FILE} has no times that certfleet can read"
    assert told(problem="cannot be read: Permission denied") == f"{FILE} cannot be read: Permission denied"


def test_what_a_stranger_wrote_is_cleaned() -> None:
    """No control character, no endless text; bytes that are no UTF-8 do not hide a line."""
    said = told(line("203.0.113.7", AT, agent="\x1b[2J\t" + "x" * 900))
    assert "\x1b" not in said
    assert r"(404, \x1b[2J xxx" in said
    assert len(said) < 300
    log = Log(FILE, b"\xff\xfe " + line("203.0.113.7", AT).encode(), AT)
    assert asked_for("web server", {"www": [PATH]}, [log], AT, web_request).requests


def test_a_log_that_begins_and_ends_inside_a_line() -> None:
    """As the end of a file does that is being written."""
    cut = line("192.0.2.1", AT - 60)[20:] + line("203.0.113.7", AT) + line("203.0.113.8", AT)[:40]
    assert "by 203.0.113.7 at" in told(cut)


@pytest.mark.parametrize("text", ['[] "GET ' + "x" * 8000, "client 1#1 " * 700])
def test_a_line_that_is_made_to_cost_time(text: str) -> None:
    """A stranger chooses much of what our logs hold: 20 such lines take a moment."""
    began = time.process_time()
    for _ in range(20):
        assert web_request(text, PATH, AT) is None
        assert dns_request(text, OWNER, AT) is None
    assert time.process_time() - began < 0.5
