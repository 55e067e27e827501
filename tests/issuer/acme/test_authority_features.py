"""Profiles, external account binding, preferred chains, abandoned authorizations, an account that the CA forgot."""

import base64
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from cryptography import x509

from tests.issuer.box import Box
from tests.issuer.notify.conftest import told_by_mail
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.bind import Bind
from tests.servers.ca_proxy import CaProxy, Reply, in_directory, problem, times
from tests.servers.database import SqliteDatabase
from tests.servers.lab import Lab
from tests.servers.pebble import Pebble
from tests.servers.smtp import Smtp

NAME = "www.lab.test"


def test_advertised_profile_is_asked_for(proxied: Box, proxy: CaProxy) -> None:
    """The order carries the profile that the CA advertises, and the account whom the CA may write to."""
    proxy.after.append(in_directory(meta={"profiles": {"tlsserver": "45 days"}}))
    proxied.write(acme={"profile": "tlsserver", "contact": ["noc@example.com"]})
    proxied.enrol(NAME)
    proxied.ok("run")
    assert [(request.payload or {}).get("profile") for request in proxy.paths("order-plz")] == ["tlsserver"]
    [account] = [request.payload for request in proxy.seen if "termsOfServiceAgreed" in (request.payload or {})]
    assert (account or {})["contact"] == ["mailto:noc@example.com"]


def test_profile_that_is_not_offered_is_left_out_unless_required(proxied: Box, proxy: CaProxy) -> None:
    """A soft profile falls back to the CA's default; a required one refuses, and no order is opened."""
    proxy.after.append(in_directory(meta={"profiles": {"classic": "90 days"}}))
    proxied.write(acme={"profile": "tlsserver", "profile_required": True})
    proxied.enrol(NAME)
    proxied.fails("run", says=["does not offer the profile 'tlsserver'", "classic"])
    assert proxy.paths("order-plz") == []
    proxied.write(acme={"profile_required": False})
    [said] = [line for line in proxied.ok("issue", NAME).err.splitlines() if "profile.not_offered" in line]
    assert (NAME in said, proxy.directory in said) == (True, True)
    assert "profile" not in (proxy.paths("order-plz")[0].payload or {})


def test_external_account_binding(bind: Bind, tmp_path: Path) -> None:
    """A CA that wants a binding gets one at account creation; without it the sentence says what to configure."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    with Pebble(tmp_path / "pebble", bind.endpoint, eab={"kid-7": key}) as pebble:
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind, pebble=pebble)
        box.set_up()
        box.enrol(NAME)
        box.fails("run", says=["eab_kid and eab_hmac_file"])
        secret = tmp_path / "eab.key"
        secret.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        secret.chmod(0o600)
        box.write(acme={"eab_kid": "kid-7", "eab_hmac_file": str(secret)})
        host = urlsplit(pebble.directory).netloc
        outcome = box.fails("issue", NAME, says=[f"the CA at {host} refused", "mend eab_kid and eab_hmac_file"])
        assert "dig TXT" not in outcome.err
        secret.write_text(key + "\n")
        box.ok("issue", NAME)
        box.ok("reissue", NAME)  # the account exists now: the binding is not used a second time


def test_a_binding_with_every_question_for_an_account(bind: Bind, tmp_path: Path) -> None:
    """A CA may refuse the question whether there is an account, too, where it comes without a binding."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).rstrip(b"=").decode()
    secret, folder = tmp_path / "eab.key", tmp_path / "proxy"
    secret.write_text(key)
    secret.chmod(0o600)
    folder.mkdir()
    with Pebble(tmp_path / "pebble", bind.endpoint, eab={"kid-7": key}) as pebble, CaProxy(folder, pebble) as proxy:
        refused = problem("externalAccountRequired", "no binding", 400)
        proxy.before.append(lambda one: refused if "onlyReturnExisting" in (one.payload or {}) else None)
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind, pebble=pebble)
        ca = {"directory": proxy.directory, "ca_bundle": str(proxy.ca_file)}
        box.write(acme=ca | {"eab_kid": "kid-7", "eab_hmac_file": str(secret)})
        box.set_up()
        box.enrol(NAME)
        for word in ("issue", "reissue"):
            box.ok(word, NAME)


def test_preferred_chain_is_chosen_among_the_alternates(bind: Bind, tmp_path: Path) -> None:
    """The chain whose top is issued by the wanted root is stored; an unknown wish falls back to the default."""
    with Pebble(tmp_path / "pebble", bind.endpoint, alternate_roots=2, chain_length=2) as pebble:
        box = Box(tmp_path / "box", SqliteDatabase(tmp_path), bind=bind, pebble=pebble)
        box.set_up()
        box.enrol(NAME)
        for number in (2, 0, 1):
            root = x509.load_pem_x509_certificate(pebble.root(number))
            wanted = str(root.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
            box.write(acme={"preferred_chain": wanted})
            box.ok("issue", NAME)
            top = x509.load_pem_x509_certificates(bytes(box.row(NAME, "ca")[0]))[-1]
            assert top.issuer == root.subject
        box.write(acme={"preferred_chain": "No Such Root"})
        box.ok("issue", NAME)


def test_abandoned_authorizations_are_deactivated(proxied: Box, proxy: CaProxy) -> None:
    """When one name of an order fails, what still waits at the CA is given back; nothing stays in the zones."""
    proxied.add_zone("a.lab.test", "b.lab.test")
    assert proxied.bind is not None
    proxied.bind.reconfigure()
    proxied.write(dns={"propagation_timeout": "1s", "nameservers": ["127.0.0.1:9"]})  # nobody answers there
    proxied.populate("a.lab.test", "b.lab.test")
    proxied.fails("run", says=["127.0.0.1:9"])
    given_back = [request for request in proxy.seen if request.payload == {"status": "deactivated"}]
    assert len(given_back) == 2
    assert proxied.txt("a.lab.test") == proxied.txt("b.lab.test") == set()


def test_forgotten_account_is_said_loudly(lab: Lab, box: Box) -> None:
    """A CA that does not know our key any more gives a new account, and that is an error in the log."""
    box.enrol(NAME)
    box.ok("run")
    lab.pebble.stop()
    lab.pebble.start()  # Pebble forgets everything
    outcome = box.ok("reissue", NAME)
    assert "account.changed" in outcome.err
    assert "CAA records with accounturi must name the new account" in outcome.err


def test_an_account_that_cannot_be_written_down_stops_nothing(box: Box) -> None:
    """accounts.json is only a memory: when it cannot be replaced, that is said and the certificate is stored."""
    box.enrol(NAME)
    (box.state_dir / "accounts.json").mkdir()
    assert "account.not_remembered" in box.ok("run").err


def test_must_agree_to_new_terms_names_the_address(proxied: Box, proxy: CaProxy, tmp_path: Path) -> None:
    """userActionRequired stops the certificate for the day, and output and mail say where to go."""
    reply = problem("userActionRequired", "agree at https://ca.example/terms", 403)
    proxy.before.append(times(9, "order-plz", reply))
    proxied.write(renewal={"retry": ["1s", "24h"], "max_run": "1m"})
    proxied.enrol(NAME)
    began = int(time.time())
    with Smtp(tmp_path) as smtp:
        told_by_mail(proxied, smtp)
        proxied.fails("run", says=["https://ca.example/terms", "open the address"])
    [letter] = smtp.letters
    assert letter.subject.startswith(f"certfleet: {NAME} waits for you at the CA on ")
    assert "  > see:        https://ca.example/terms" in letter.text.splitlines()
    assert len(proxy.paths("order-plz")) == 1
    assert proxied.row(NAME, "due_at")[0] >= began + 86400


@pytest.mark.sampled
@pytest.mark.parametrize("what", ["other key", "other names", "expired", "broken chain"])
def test_certificate_that_is_not_ours_is_never_stored(proxied: Box, proxy: CaProxy, what: str) -> None:
    """A leaf for another key or other names, expired, or without its chain: refused, said so."""
    proxied.enrol(NAME)
    forged = _forged(what)
    proxy.before.append(times(9, "/certZ/", Reply(200, forged, _PEM_TYPE)))
    proxied.fails("run", says=["must not be stored"])
    assert proxied.row(NAME, "crt", "count_fail_update") == (None, 1)
    assert proxied.txt(NAME) == set()


_PEM_TYPE = {"Content-Type": "application/pem-certificate-chain"}


def _forged(what: str) -> bytes:
    """Each is wrong in one thing only: the rest is what the CSR asks for."""
    signer = Authority("Root").intermediate("Intermediate")
    if what == "other key":
        return signer.issue([NAME]).fullchain_pem
    if what == "other names":
        return signer.sign(csr(["other.lab.test"])).fullchain_pem
    if what == "expired":
        return signer.sign(csr([NAME]), days=1, not_before=datetime.now(UTC) - timedelta(days=3)).fullchain_pem
    return signer.sign(csr([NAME])).cert_pem + Authority("Root").intermediate("Intermediate").chain_pem
