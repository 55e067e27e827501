"""How the configurations of services are read for stapling, and what is made of them: tables, no daemon."""

from datetime import datetime
from pathlib import Path

import pytest

from agent.model.dialect import Dialect
from agent.model.stapling import Dump, Facts, Parsed, Served, TooMuch, Way
from agent.rules import stapling, stapling_braces
from agent.rules.stapling_log import symptoms
from agent.rules.stapling_read import read, show_commands
from agent.settings.preset import Presets
from common.check_line import BAD, WARN, Level
from tests.servers.stopwatch import Stopwatch

PRESETS = Presets(Path("/nowhere/agent.toml"))


def dialect(name: str) -> Dialect:
    preset = PRESETS.load(name)
    assert preset is not None
    return preset.stapling


APACHE, NGINX, HAPROXY = dialect("apache"), dialect("nginx"), dialect("haproxy")

MAIN = """ServerRoot /etc/httpd
<IfModule mod_ssl.c>
  SSLUseStapling \\
     On
  SSLStaplingCache "shmcb:/run/x y(1)"
</IfModule>
<IfModule !ssl_module>
  SSLUseStapling off
</IfModule>
<IfDefine nothing>
  SSLUseStapling off
</IfDefine>
Include sites/*.conf
<Macro Site $name>
  <VirtualHost *:443>
    ServerName $name
    SSLEngine on
    SSLCertificateFile /macro.pem
  </VirtualHost>
</Macro>
# SSLUseStapling off
"""
SITES = """<VirtualHost *:443>
  ServerName a.example
  SSLEngine on
  SSLCertificateFile "${folder}/a.pem"
</VirtualHost>
<VirtualHost *:443>
  ServerName b.example
  SSLEngine on
  SSLUseStapling off
  SSLCertificateFile ${LOGS}/b.pem
</VirtualHost>
<VirtualHost *:80>
  ServerName c.example
  SSLCertificateFile /c.pem
</VirtualHost>
"""
DUMP = """Included configuration files:
  (*) /etc/httpd/main.conf
    (13) /etc/httpd/sites/all.conf
ServerRoot: "/etc/httpd"
Define: DUMP_MODULES
Define: folder=/etc/tls
Loaded Modules:
 core_module (static)
 ssl_module (shared)
"""


def sections(dump: str = DUMP) -> Parsed:
    texts = {"/etc/httpd/main.conf": MAIN, "/etc/httpd/sites/all.conf": SITES}
    return read(APACHE, Dump(dump, texts, {"LOGS": "/var/log"}))


def told(found: Parsed, words: Dialect) -> list[tuple[str, str, str, str]]:
    """(name, certificate, switch, where) of each site."""
    rows = []
    for site in stapling.sites(found, words):
        certificate, switch = site.word(words.certificate), site.word(words.switch)
        assert certificate
        rows.append((site.name, certificate[0], switch[0] if switch else "", str(switch[1]) if switch else ""))
    return rows


def test_sections() -> None:
    """Conditions, definitions, the environment, a line that goes on, an included file; no macro, no site in clear."""
    assert told(sections(), APACHE) == [
        ("a.example", "/etc/tls/a.pem", "On", "/etc/httpd/main.conf:3"),
        ("b.example", "/var/log/b.pem", "off", "/etc/httpd/sites/all.conf:9"),
    ]
    assert sections().modules == frozenset(["core_module", "ssl_module"])
    assert sections().folder == "/etc/httpd"


def test_sections_of_a_service_that_refuses_its_configuration() -> None:
    """It names its files alone; its modules are those that they load."""
    found = sections(DUMP.partition("ServerRoot")[0])
    assert told(found, APACHE)[0][2:] == ("On", "/etc/httpd/main.conf:3")
    assert found.modules == frozenset()
    assert found.folder == "/etc/httpd"


BRACES = """nginx: configuration file test is successful
# configuration file /etc/nginx/nginx.conf:
http {
  ssl_stapling on;
  include sites/*; # all
  server { server_name c.example; ssl_certificate /c.pem;
    location / { return 200 "ssl_stapling off; }"; } }
}

# configuration file /etc/nginx/sites/b:
server { listen 443 ssl; server_name b.example; ssl_certificate b.pem;
  ssl_stapling
     off; }

# configuration file /etc/nginx/sites/a:
server {
  server_name 'a.example' z.example;
  ssl_certificate /a.pem;
}
server { listen 80; server_name d.example; }
"""


def test_braces() -> None:
    assert told(read(NGINX, Dump(BRACES)), NGINX) == [
        ("a.example", "/a.pem", "on", "/etc/nginx/nginx.conf:2"),
        ("b.example", "b.pem", "off", "/etc/nginx/sites/b:2"),
        ("c.example", "/c.pem", "on", "/etc/nginx/nginx.conf:2"),
    ]


LINES = """global
  crt-base /etc/haproxy/certs
frontend web
  bind :443 ssl crt a.pem crt "$OTHER/b.pem" # crt c.pem
  bind :8443 ssl crt-list /etc/haproxy/list
  bind :80
backend b
  server s 192.0.2.1:443 ssl crt /client.pem
"""


def test_lines() -> None:
    texts = {"/h.cfg": LINES, "/etc/haproxy/list": "d.pem [alpn h2 ocsp-update on] d.example\n\n# no\n/e.pem\n"}
    assert told(read(HAPROXY, Dump(texts=texts, environment={"OTHER": "/o"})), HAPROXY) == [
        ("web", "/etc/haproxy/certs/a.pem", "", ""),
        ("web", "/o/b.pem", "", ""),
        ("web", "/etc/haproxy/certs/d.pem", "on", "/etc/haproxy/list:1"),
        ("web", "/e.pem", "", ""),
    ]


@pytest.mark.parametrize("words", [APACHE, NGINX, HAPROXY], ids=["sections", "braces", "lines"])
@pytest.mark.parametrize("text", ["", "}}}}", "{" * 200, "</A>\n<A\n", "server { include server; ", '"', "bind", "\0"])
def test_no_configuration(words: Dialect, text: str) -> None:
    """Whatever a service prints, nothing fails."""
    for shown in (
        Dump(text),
        Dump(f"# configuration file /a:\n{text}", {"/a": text}),
        Dump("  (*) /a\n", {"/a": text}),
    ):
        assert stapling.sites(read(words, shown), words) == []


NESTED = "<IfModule a>\n" * 5000
IN_CIRCLES = "# configuration file /n:\ninclude /*;\ninclude /*;\n"
GROWING = "".join(f"# configuration file /{n}:\ninclude /{n + 1};\ninclude /{n + 1};\n" for n in range(40))


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (APACHE, Dump("  (*) /a\n", {"/a": NESTED})),
        (NGINX, Dump("# configuration file /n:\n" + "a {" * 5000)),
        (NGINX, Dump(IN_CIRCLES)),
        (NGINX, Dump(GROWING)),
    ],
    ids=["sections", "blocks", "includes-in-circles", "includes-twice-each"],
)
def test_too_much(words: Dialect, shown: Dump, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who owns an included file cannot hold `check` up, nor end it: one sentence says where."""
    monkeypatch.setattr(stapling_braces, "_MOST", 1000)
    with pytest.raises(TooMuch, match=r"more than .* /\d*"):
        read(words, shown)


@pytest.mark.soak
@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (APACHE, Dump("  (*) /a\n", {"/a": "<VirtualHost *:443>\n" + "Redirect /a /b\n" * 60_000})),
        (APACHE, Dump("  (*) /a\n", {"/a": "\\\n" * 300_000})),
        (NGINX, Dump("# configuration file /n:\nhttp { server {" + "deny 192.0.2.1; " * 60_000 + "} }")),
    ],
    ids=["redirects", "one-line-of-many", "addresses-denied"],
)
def test_long_lists(words: Dialect, shown: Dump) -> None:
    """Twice as many lines take twice as long, not four times."""
    watch = Stopwatch()
    stapling.sites(read(words, shown), words)
    assert watch.seconds() < 6


@pytest.mark.parametrize("number", ["\N{SUPERSCRIPT TWO}", "9" * 5000, "-1", "0", "3600"])
def test_odd_numbers(number: str) -> None:
    """Whatever a person writes as a time, `check` waits for a responder for half a minute at most."""
    text = f"<VirtualHost *:443>\nSSLEngine on\nSSLUseStapling on\nSSLCertificateFile /c\n{APACHE.timeout} {number}\n"
    found = read(APACHE, Dump("  (*) /a\n", {"/a": text}))
    [case] = stapling.cases(stapling.sites(found, APACHE), APACHE, {"/c": Served("/c", responders=(URL,))})
    assert 1 <= case.seconds <= 30
    assert "stapling-not-safe" in {one.kind for one in stapling.findings("a", APACHE, found, [case], Facts({}, {}))}


def test_which_command_shows_it() -> None:
    """The operator's own test knows other files; what is no program of the service is not given our words."""
    programs = ("apachectl", "apache2")
    own = tuple(word.replace("{program}", "apachectl") for word in APACHE.show)
    assert show_commands(APACHE, [("apache2", "-f", "/x", "-t"), ("/bin/test.sh",)], "apachectl", programs) == [
        ("apache2", "-f", "/x", "-t", *APACHE.show[1:]),
        own,
    ]
    assert show_commands(HAPROXY, [("haproxy", "-c")], "haproxy", ("haproxy",)) == []


URL = "http://ocsp.example/"


def lines_of(text: str, served: Served, *ways: Way, also: tuple[Served, ...] = ()) -> list[tuple[Level, str, str]]:
    found = read(NGINX, Dump(f"# configuration file /n.conf:\n{text}"))
    certificates = {one.file: one for one in (served, *also)}
    cases = stapling.cases(stapling.sites(found, NGINX), NGINX, certificates)
    lines = stapling.findings("nginx", NGINX, found, cases, Facts(certificates, {URL: ways}))
    return [(line.level, line.kind, f"{line.sentence} | {line.hint}") for line in lines]


BOTH = "http { ssl_stapling on; server { ssl_certificate /a; } server { ssl_certificate /b; } }"


def test_one_switch_for_several_certificates() -> None:
    """The line stays where another certificate under it names a responder."""
    silent, named = Served("/a"), Served("/b", responders=(URL,))
    (line,) = lines_of(BOTH, silent, Way("IPv4", 0.1), also=(named,))
    assert line[:2] == (WARN, "stapling-without-responder")
    assert "`ssl_stapling off` in the virtual server at /n.conf:1" in line[2]
    (line,) = lines_of(BOTH, silent, also=(Served("/b"),))
    assert "delete `ssl_stapling` in /n.conf:1" in line[2]
    assert "by /a, /b" in line[2]


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ((Way("IPv4", 0.1), Way("IPv6", 0.2)), "stapling"),
        ((Way("IPv4", 0.1), Way("IPv6", problem="no route", absent=True)), "stapling"),
        ((Way("IPv4", 0.1), Way("IPv6", problem="no answer within 10 s")), "responder-half-away"),
        ((Way("IPv4", problem="refused"), Way("IPv6", problem="no route", absent=True)), "responder-away"),
        ((Way("IPv4", problem="refused"), Way("IPv6", problem="no answer")), "responder-away"),
    ],
)
def test_families(ways: tuple[Way, ...], expected: str) -> None:
    named = Served("/a", responders=(URL,))
    ((level, kind, text),) = lines_of("server { ssl_stapling on; ssl_certificate /a; }", named, *ways)
    assert kind == expected
    assert (level == BAD) == (expected == "responder-away")
    assert all(f"{way.family}: {way.problem}" in text for way in ways if way.problem and not way.absent)


LOG = """[Sat Nov 28 11:59:00.123456 2026] [ssl:error] [pid 1:tid 2] AH01941: stapling_renew_response: responder error
[Sun Nov 29 11:59:00.123456 2026] [ssl:error] [pid 1:tid 2] AH01941: stapling_renew_response: responder error
[Sun Nov 29 11:59:30.123456 2026] [ssl:error] [pid 1:tid 2] AH01941: stapling_renew_response: the last
[Sun Nov 29 11:59:30.123456 2026] [core:notice] [pid 1:tid 2] AH00094: Command line
"""


def test_symptoms() -> None:
    """Those of the last day."""
    now = datetime(2026, 11, 29, 12, 30).astimezone().timestamp()
    (found,) = symptoms("/log", LOG, APACHE, now)
    assert (found.sign, found.count) == ("AH01941", 2)
    assert found.last.endswith("the last")
    line = '2026/11/28 12:00:00 [warn] 1#1: "ssl_stapling" ignored, no OCSP responder URL in the certificate "/x"'
    assert symptoms("/log", line, NGINX, now) == []
    assert [one.sign for one in symptoms("/log", line.replace("/28", "/29"), NGINX, now)] == ['"ssl_stapling" ignored']
