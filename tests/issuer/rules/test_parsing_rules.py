"""Retry-After, problem documents, database addresses, TSIG files, routes and settings: tables of cases."""

import base64
from pathlib import Path
from typing import Any

import pytest

from common.config import parse
from common.database_url import MysqlAddress, SqliteAddress, parse_database_url
from common.errors import ConfigError
from issuer.ca.transport import retry_after
from issuer.ca.words import problem
from issuer.dns.find.routes import route_for, routes
from issuer.dns.write.tsig import load_tsig_key
from issuer.model.acme import Problem
from issuer.model.config import DnsSettings, Settings, ZoneSettings

NOW = 1_800_000_000.0
SECRET = base64.b64encode(b"\xff\xff\xff//secret//").decode()  # holds "//", which is no comment in there


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(("120", NOW + 120), ("0", NOW), (" 7 ", NOW + 7), ("9" * 30, NOW + 10**9)),
        *(("Fri, 15 Jan 2027 08:00:00 GMT", NOW), ("Fri, 15 Jan 2027 09:00:00 +0100", NOW)),
        *(
            ("", None),
            ("-5", None),
            ("1.5", None),
            ("²", None),
            ("٣", None),
            ("soon", None),
            ("Fri, 99 Jan 2027 08:00:00 GMT", None),
        ),
    ],
)
def test_retry_after_in_both_forms(value: str, expected: float | None) -> None:
    """Seconds from now or an HTTP date, whatever the time zone here; None for anything else."""
    assert retry_after(value, NOW) == expected


def test_problem_documents_become_one_line() -> None:
    """Type and detail, with the subproblems; control characters of a hostile CA are escaped."""
    document = {
        "type": "urn:ietf:params:acme:error:malformed",
        "detail": "two\nlines\x1b[31m",
        "subproblems": [{"identifier": {"value": "a.test"}, "detail": "no"}, "nonsense", {}],
    }
    assert problem(document) == Problem("malformed", r"two lines\x1b[31m; a.test: no; :", identifiers=("a.test",))
    assert problem({}) == Problem("", "no detail given")
    assert problem({"type": 5, "detail": "x" * 5000}).detail == "x" * 1000
    assert len(problem({"type": f"urn:{'y' * 5000}"}).kind) == 50


@pytest.mark.parametrize(
    ("document", "page"),
    [
        ({"detail": "terms changed, see https://ca.example/terms/v2."}, "https://ca.example/terms/v2"),
        ({"detail": "see https://ca.example/a", "instance": "https://ca.example/b"}, "https://ca.example/b"),
        ({"detail": "see (https://ca.example/a)", "instance": "/terms"}, "https://ca.example/a"),
        ({"detail": "no", "instance": 5}, ""),
    ],
)
def test_the_page_that_a_problem_document_names(document: dict[str, object], page: str) -> None:
    """Its instance (RFC 8555 §7.3.3) where that is an address, else the first address in its words."""
    assert problem(document).url == page


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:////var/lib/c.db", SqliteAddress(Path("/var/lib/c.db"))),
        ("mysql+pymysql://u@h/d", MysqlAddress("u", (("h", 3306),), "d")),
        ("mysql://u@h:3307/d?charset=utf8mb4", MysqlAddress("u", (("h", 3307),), "d")),
        ("mariadb://u%40x@h1,h2:3310,[2001:db8::1]:3311/d", None),
        ("mysql://u@/d?unix_socket=/run/mysqld.sock", MysqlAddress("u", (), "d", "/run/mysqld.sock")),
    ],
)
def test_database_addresses(url: str, expected: object) -> None:
    """Hosts in their order with their ports, IPv6 in brackets, user and database decoded."""
    several = MysqlAddress("u@x", (("h1", 3306), ("h2", 3310), ("2001:db8::1", 3311)), "d")
    assert parse_database_url(url) == (expected or several)


@pytest.mark.parametrize(
    "url",
    [
        *("mysql://u:pw@h/d", "mysql://u@h/d?ssl_ca=x", "mysql://u@h/d?ssl=true", "mysql://u@h/d?read_timeout=1"),
        *("mysql://u@h", "mysql://@h/d", "mysql://u@h/d/e", "mysql://u@h:port/d", "mysql://u@h:99999/d"),
        *("sqlite://relative.db", "sqlite:///relative.db", "oracle://u@h/d", "/var/lib/c.db", ""),
    ],
)
def test_database_addresses_that_are_refused(url: str) -> None:
    """A sentence for each, without the password."""
    with pytest.raises(ValueError, match=r"\w+ \w+") as caught:
        parse_database_url(url)
    assert "pw" not in str(caught.value)


def tsig_file(folder: Path, text: str) -> Path:
    file = folder / "key"
    file.touch(mode=0o600)
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    "text",
    [
        f'key "acme" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n',
        f'key acme {{ secret "{SECRET}"; algorithm HMAC-SHA256; }};',
        f'// made by me\n# for you\n/* key "no" {{ algorithm hmac-sha256; secret "eA=="; }}; */\n'
        f'key "acme" {{ algorithm "hmac-sha256"; // comment\n secret "{SECRET}"; /* " */ }};',
        f'Key "ACME." {{ Algorithm hmac-sha256; SECRET "{SECRET}"; }};',
    ],
    ids=["tsig-keygen", "other order", "comments", "capitals"],
)
def test_tsig_files(tmp_path: Path, text: str) -> None:
    """As tsig-keygen writes it or as people do: name in lower case, algorithm and secret are found."""
    key = load_tsig_key(tsig_file(tmp_path, text))
    assert (key.name.to_text(), key.algorithm.to_text()) == ("acme.", "hmac-sha256.")
    assert base64.b64encode(key.secret).decode() == SECRET


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds 0 TSIG keys"),
        (f'key "a" {{ algorithm hmac-sha256; secret "{SECRET}"; }};' * 2, "holds 2 TSIG keys"),
        (f'key "a" {{ algorithm hmac-md5; secret "{SECRET}"; }};', "the algorithm hmac-md5"),
        (f'key "a" {{ algorithm hmac-sha1; secret "{SECRET}"; }};', "the algorithm hmac-sha1"),
        (f'key "a" {{ secret "{SECRET}"; }};', "the algorithm none"),
        ('key "a" { algorithm hmac-sha256; };', "empty secret"),
        ('key "a" { algorithm hmac-sha256; secret "not base64!"; };', "secret"),
        (f'key "{"a" * 64}" {{ algorithm hmac-sha256; secret "{SECRET}"; }};', "malformed key name"),
    ],
)
def test_tsig_files_that_are_refused(tmp_path: Path, text: str, says: str) -> None:
    """The file and what is wrong with it, never the secret."""
    with pytest.raises(ConfigError, match=says) as caught:
        load_tsig_key(tsig_file(tmp_path, text))
    assert SECRET not in str(caught.value)
    assert "tsig-keygen" in caught.value.hint


ROUTES = routes(
    DnsSettings(
        server="192.0.2.1",
        port=5353,
        tsig_key_file=Path("/default"),
        nameservers=("192.0.2.9",),
        zone=(
            ZoneSettings("example.org"),
            ZoneSettings("deep.example.org", server="192.0.2.2", tsig_key_file=Path("/deep")),
            ZoneSettings("other.org", server="192.0.2.3", port=54, nameservers=("192.0.2.8",)),
        ),
    )
)


@pytest.mark.parametrize(
    ("name", "suffix", "server", "key", "nameservers"),
    [
        ("_acme-challenge.a.test", "", "192.0.2.1:5353", "/default", ("192.0.2.9",)),
        ("_acme-challenge.example.org", "example.org", "192.0.2.1:5353", "/default", ("192.0.2.9",)),
        ("x.deep.example.org", "deep.example.org", "192.0.2.2:53", "/deep", ()),
        ("deep.example.org", "deep.example.org", "192.0.2.2:53", "/deep", ()),
        ("notdeep.example.org", "example.org", "192.0.2.1:5353", "/default", ("192.0.2.9",)),
        ("notexample.org", "", "192.0.2.1:5353", "/default", ("192.0.2.9",)),
        ("a.other.org", "other.org", "192.0.2.3:54", "/default", ("192.0.2.8",)),
    ],
)
def test_routes(name: str, suffix: str, server: str, key: str, nameservers: tuple[str, ...]) -> None:
    """The longest [[dns.zone]] that a name is at or below; what it leaves out comes from [dns]."""
    route = route_for(name, ROUTES)
    assert (route.suffix, f"{route.server}:{route.port}") == (suffix, server)
    assert (str(route.tsig_key_file), route.nameservers) == (key, nameservers)


def findings(document: dict[str, Any]) -> set[str]:
    """The paths of everything that is wrong."""
    with pytest.raises(ConfigError) as caught:
        parse(Settings, document, "issuer.toml")
    return {finding.path for finding in caught.value.findings}


def test_settings_collect_every_finding() -> None:
    """Unknown keys and tables, wrong types and values out of range: each with its path, all at once."""
    document = {
        "statedir": "/x",
        "csr_dir": "relative",
        "database": 5,
        "acme": {"workers": True, "directory": "http://ca", "contact": "x", "fallback": [{"directory": ""}]},
        "dns": {"zone": [{"name": "example.org"}, {"name": "no dots allowed"}], "propagation_timeout": "10"},
        "renewal": {"retry": [], "fraction_left": 1, "max_run": 6},
    }
    assert findings(document) == {
        *("statedir", "csr_dir", "database", "acme.workers", "acme.directory", "acme.contact"),
        *("acme.fallback[0].directory", "dns.zone[1].name", "dns.propagation_timeout"),
        *("renewal.retry", "renewal.fraction_left", "renewal.max_run"),
    }


def test_settings_have_defaults_for_everything() -> None:
    """An empty file is a configuration."""
    settings = parse(Settings, {}, "issuer.toml")
    assert settings.renewal.retry == (60, 600, 3600, 86400)
    assert settings.account_key(settings.acme) == Path("/var/lib/certfleet/account.pem")
