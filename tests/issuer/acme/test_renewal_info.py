"""RFC 9773 end to end: the window is asked for, one moment drawn and kept, `replaces` sent; failures never hurt."""

import base64
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.issuer.acme.information import HOUR, Information
from tests.issuer.box import Box
from tests.issuer.daemon.service import Service
from tests.issuer.notify.conftest import told_by_mail
from tests.servers.ca_proxy import Before, CaProxy, Reply, json_reply, problem, times
from tests.servers.process import wait_until
from tests.servers.smtp import Smtp

NAME = "ari.lab.test"


@pytest.fixture
def information(proxy: CaProxy) -> Information:
    return Information(proxy)


def test_window_is_asked_for_with_the_certificate_identifier_and_one_moment_kept(
    proxied: Box, information: Information
) -> None:
    """The identifier is base64url(AKI).base64url(serial); the moment lies in the window and stays through runs, and so
    does the address of the explanation."""
    information.explanation = "https://ca.example/why"
    _issued(proxied)
    _come_to_ask(proxied)
    proxied.ok("run")
    leaf = x509.load_pem_x509_certificate(_bytes(proxied.row(NAME, "crt")[0]))
    assert information.asked == [_identifier(leaf)]
    drawn, start, end, ask_at, due_at = proxied.row(NAME, "ari_at", "ari_start", "ari_end", "ari_ask_at", "due_at")
    assert (start, end) == (int(information.start), int(information.end))
    assert start <= drawn <= end
    assert abs(ask_at - time.time() - 6 * HOUR) < 60
    assert due_at == min(drawn, ask_at)
    _come_to_ask(proxied)
    proxied.ok("run")
    told = proxied.row(NAME, "ari_at", "ari_start", "ari_end", "ari_url")
    assert told == (drawn, start, end, information.explanation)
    assert len(information.asked) == 2


def test_nothing_is_asked_before_the_ca_wants_it(proxied: Box, information: Information) -> None:
    """Retry-After is honoured: runs before that moment ask nothing."""
    _issued(proxied)
    _come_to_ask(proxied)
    proxied.ok("run")
    proxied.ok("run")
    assert len(information.asked) == 1


def test_retry_after_as_a_date_is_understood(proxied: Box, information: Information) -> None:
    """The HTTP-date form of Retry-After sets the same kind of moment."""
    moment = datetime.fromtimestamp(time.time() + 2 * HOUR, UTC)
    information.retry_after = moment.strftime("%a, %d %b %Y %H:%M:%S GMT")
    _issued(proxied)
    _come_to_ask(proxied)
    proxied.ok("run")
    assert abs(proxied.row(NAME, "ari_ask_at")[0] - moment.timestamp()) < 2


def test_window_that_is_open_renews_and_says_what_it_replaces(
    proxied: Box, proxy: CaProxy, information: Information, tmp_path: Path
) -> None:
    """When the drawn moment has come the certificate is renewed, the new order names the old certificate, and people
    get the address of the CA's explanation."""
    _issued(proxied)
    old = x509.load_pem_x509_certificate(_bytes(proxied.row(NAME, "crt")[0]))
    information.start, information.end = time.time() - 2 * HOUR, time.time() - HOUR
    information.explanation = "https://ca.example/why"
    _come_to_ask(proxied)
    with Smtp(tmp_path) as smtp:
        told_by_mail(proxied, smtp)
        proxied.ok("run")
    [letter] = smtp.letters
    assert "  > see:        https://ca.example/why" in letter.text.splitlines()
    payloads = [request.payload for request in proxy.paths("order-plz")]
    assert "replaces" not in (payloads[0] or {})
    assert (payloads[1] or {}).get("replaces") == _identifier(old)
    assert _bytes(proxied.row(NAME, "old_crt")[0]).strip() == old.public_bytes(Encoding.PEM).strip()
    assert proxied.row(NAME, "ari_at", "ari_start", "ari_end") == (None, None, None)


@pytest.mark.sampled
@pytest.mark.parametrize("by_daemon", [False, True], ids=["run", "daemon"])
def test_a_window_that_has_passed_comes_before_all_others(proxied: Box, proxy: CaProxy, *, by_daemon: bool) -> None:
    """One worker replaces it first, although the others expire before it and have waited for longer."""
    Information(proxy)
    names = [proxied.enrol(name) for name in ("a.lab.test", "b.lab.test", NAME)]
    proxied.ok("run")
    execute, soon = proxied.database.execute, int(time.time()) + HOUR
    execute(f"UPDATE certs SET ari_at = 5, ari_window = '1-{soon}', ari_ask_at = {soon}, due_at = 1")  # noqa: S608
    passed = "due_at = 2, ts_expire = ts_expire + 100, ari_window = '1-5'"
    execute(f"UPDATE certs SET {passed} WHERE name = '{NAME}'")  # noqa: S608
    proxied.write(acme={"workers": 1})
    proxy.seen.clear()
    if by_daemon:
        with Service(proxied):
            wait_until(lambda: len(proxy.paths("order-plz")) == len(names), "an order for each")
    else:
        proxied.ok("run")
    orders = [(request.payload or {})["identifiers"][0]["value"] for request in proxy.paths("order-plz")]
    assert (orders[0], sorted(orders)) == (NAME, sorted(names))


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("alreadyReplaced", 409),
        ("malformed", 400),
        ("unauthorized", 403),
        ("serverInternal", 500),
        ("somethingNew", 404),
        ("", 500),  # a page in place of a problem document
    ],
)
def test_refused_replaces_is_left_out_once(
    proxied: Box, proxy: CaProxy, information: Information, kind: str, status: int
) -> None:
    """Whatever a CA says to `replaces`, it is asked once more without it, and the renewal is no failure."""
    _issued(proxied)
    information.start, information.end = time.time() - 2 * HOUR, time.time() - HOUR
    proxy.before.append(_refusing_replaces(problem(kind, "no", status) if kind else Reply(status, b"<html>")))
    _come_to_ask(proxied)
    proxied.ok("run")
    assert _sent(proxy) == [False, True, False]
    assert proxied.row(NAME, "count_fail_update") == (0,)


@pytest.mark.sampled
@pytest.mark.parametrize(("kind", "status"), [("rateLimited", 429), ("rateLimited", 403), ("serverInternal", 503)])
def test_a_limit_says_nothing_of_replaces(
    proxied: Box, proxy: CaProxy, information: Information, kind: str, status: int
) -> None:
    """A CA that limits us is not asked again at once."""
    _issued(proxied)
    information.start, information.end = time.time() - 2 * HOUR, time.time() - HOUR
    proxy.before.append(_refusing_replaces(problem(kind, "no", status, Retry_After="3600")))
    _come_to_ask(proxied)
    proxied.fails("run", says=["no"])
    assert _sent(proxy) == [False, True]


@pytest.mark.soak
def test_a_new_account_replaces_nothing_of_another_one(proxied: Box, proxy: CaProxy, information: Information) -> None:
    """Another key is another account: its order names no certificate of the account before, its next one does."""
    _issued(proxied)
    key = proxied.state_dir / "account.pem"
    key.rename(key.with_suffix(".aside"))
    proxied.ok("init")
    proxied.ok("reissue", NAME)
    proxied.ok("reissue", NAME)
    assert _sent(proxy) == [False, False, True]


@pytest.mark.soak
def test_the_account_of_an_earlier_version_is_not_known(proxied: Box, proxy: CaProxy, information: Information) -> None:
    """It has not saved whose order a certificate was: `replaces` is tried, and left out where the CA refuses it."""
    _issued(proxied)
    proxied.database.execute("UPDATE certs SET account = NULL")
    (proxied.state_dir / "account.pem").unlink()
    proxied.ok("init")
    refusal = problem("unauthorized", "requester account did not request the certificate being replaced", 403)
    proxy.before.append(_refusing_replaces(refusal))
    proxied.ok("reissue", NAME)
    assert _sent(proxy) == [False, True, False]


@pytest.mark.sampled
@pytest.mark.parametrize(
    "reply",
    [
        problem("serverInternal", "sorry", 500),
        Reply(200, b"<html>", {"Content-Type": "text/html"}),
        json_reply({"suggestedWindow": {"start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"}}),
        json_reply({"suggestedWindow": {"start": "yesterday", "end": 7}}),
        json_reply({"suggestedWindow": {"start": "2026-02-01T00:00:00", "end": "2026-03-01T00:00:00"}}),
        json_reply({"suggestedWindow": {"start": "0001-01-01T00:00:00Z", "end": "0001-01-01T00:00:00Z"}}),
        json_reply([]),
        Reply(200, b"x" * 3_000_000, {"Content-Type": "application/json"}),
    ],
    ids=["server error", "html", "end before start", "no times", "no zone", "never set", "no object", "huge"],
)
def test_broken_information_never_hurts(proxied: Box, proxy: CaProxy, information: Information, reply: Reply) -> None:
    """Whatever the CA answers there, the run is well and our own rule decides."""
    _issued(proxied)
    before = proxied.row(NAME, "crt")
    proxy.before.insert(0, times(99, "/renewal-info/", reply))
    _come_to_ask(proxied)
    proxied.ok("run")
    assert proxied.row(NAME, "crt", "count_fail_update", "ari_at") == (*before, 0, None)


@pytest.mark.soak
def test_ca_without_information_is_never_asked(proxied: Box, proxy: CaProxy) -> None:
    """A directory without renewalInfo means no such request and no `replaces`."""
    _issued(proxied)
    proxied.ok("reissue", NAME)
    assert proxy.paths("renewal-info") == []
    assert all("replaces" not in (request.payload or {}) for request in proxy.paths("order-plz"))


def _refusing_replaces(reply: Reply) -> Before:
    """A rule that answers every newOrder with `replaces`."""
    return lambda request: reply if "replaces" in (request.payload or {}) else None


def _sent(proxy: CaProxy) -> list[bool]:
    """Of each newOrder: did it carry `replaces`?"""
    return ["replaces" in (request.payload or {}) for request in proxy.paths("order-plz")]


def _issued(box: Box) -> None:
    box.enrol(NAME)
    box.ok("run")


def _come_to_ask(box: Box) -> None:
    """As if the moment had come at which the CA wants to be asked again."""
    box.database.execute(f"UPDATE certs SET due_at = 1, ari_ask_at = 1 WHERE name = '{NAME}'")  # noqa: S608


def _identifier(certificate: x509.Certificate) -> str:
    """RFC 9773 §4.1 from the DER itself: the serial's INTEGER octets stand right in it."""
    key_id = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert key_id is not None
    hexadecimal = f"{certificate.serial_number:x}"
    octets = bytes.fromhex("0" * (len(hexadecimal) % 2) + hexadecimal)
    octets = (b"\0" if octets[0] > 127 else b"") + octets
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (key_id, octets))


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
