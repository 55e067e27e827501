"""The lines that a service adds to its log at a reload, and whose certificate they name."""

import pytest

from agent.model.certificate import Service, why_in_logs
from agent.rules.blame_in_logs import named_in, new_lines

APACHE = [
    "[ssl:emerg] [pid 7] AH02562: Failed to configure certificate b:443:0 (with chain), check /tls/b.pem",
    "[ssl:emerg] [pid 7] SSL Library Error: error:0A00018F:SSL routines::ee key too small",
    "[core:error] [client 192.0.2.1] GET /?token=secret",
]
TEXTS = {"a": ["/tls/a.pem", "/tls/key.pem"], "b": ["/tls/b.pem", "/tls/key.pem"], "a.b": ["/tls/a.pem.b"]}


def test_lines_that_were_there_before_are_not_new() -> None:
    assert new_lines(["one", "two"], ["two", "three", "two", "four"]) == ["three", "four"]


def test_the_one_is_quoted_with_its_reason_and_without_what_clients_did() -> None:
    assert named_in(APACHE, TEXTS) == {"b": " | ".join(APACHE[:2])}


def test_the_end_of_a_line_that_was_there_is_not_new() -> None:
    assert new_lines(["zero", "check /tls/a.pem", "two"], ["/tls/a.pem", "two", "three"]) == ["three"]


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ([], set()),
        (["nothing of it"], set()),
        (['cannot load certificate key "/tls/key.pem"'], {"a", "b"}),  # all have it: nobody is told apart
        (["/tls/b.pem and /tls/key.pem do not match"], {"b"}),
        (["check /tls/a.pem", "check /tls/b.pem"], {"a", "b"}),
        (["unable to load certificate from file '/tls/a.pem.b'."], {"a.b"}),
        (["unable to load certificate from file '/tls/a.pem'."], {"a"}),
        (["unable to load certificate from file /srv/tls/a.pem"], set()),
        (["cannot load /tls/a.pem.", "cannot load /tls/b.pem: no start line"], {"a", "b"}),
    ],
)
def test_who_is_named(lines: list[str], named: set[str]) -> None:
    assert set(named_in(lines, TEXTS)) == named


def test_what_it_has_found_is_no_trouble() -> None:
    """coturn and Tomcat say it of each file. Where they tell no trouble of any, nothing is quoted."""
    found = ["Certificate file found: /tls/a.pem", "Certificate file found: /tls/b.pem"]
    assert named_in(found, TEXTS) == {"a": "", "b": ""}
    configured = "Connector [8443], certificate type [EC] configured from key [/tls/key.pem], certificate [/tls/a.pem]"
    assert named_in([configured], TEXTS) == {"a": ""}
    trouble = "ERROR: cannot use /tls/b.pem"
    assert named_in([*found, trouble], TEXTS) == {"b": trouble}
    words = 'LOG:  private key file "/tls/b.pem" has group or world access'  # PostgreSQL; no word for trouble is there
    assert named_in([*found, words], TEXTS) == {"b": words}


def test_the_logs_for_people() -> None:
    """One line to type for all units, and the files; right days later too."""
    journal = ("journalctl", "--quiet", "--since=-1h")
    first = Service("a", journal=((*journal, "--unit=a", "--unit=a@*"),), logs=("/log",))
    second = Service("b", journal=((*journal, "--unit=b"),), logs=("/log", "/var/*.log"))
    typed = "journalctl --pager-end --unit=a '--unit=a@*' --unit=b"
    assert why_in_logs([first, second]) == f"see why in its log: {typed}; /log; /var/*.log"
    assert why_in_logs(()) == ""


def test_a_quotation_is_bounded() -> None:
    assert len(named_in([f"cannot load /tls/a.pem {'x' * 10_000}"], TEXTS)["a"]) == 400
