"""Somebody on the network between the issuer and the name server, the CA, or the mail server."""

import re
import socket
from collections.abc import Callable
from pathlib import Path

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from common.errors import MailError
from common.mail import MailServer
from issuer.model.config import NotifySettings
from tests.issuer.box import Box
from tests.servers.authority import Authority
from tests.servers.ca_proxy import CaProxy
from tests.servers.lab import Lab
from tests.servers.line import DnsLine, Line
from tests.servers.ports import LOOPBACK
from tests.servers.smtp import PASSWORD, USER, Smtp
from tests.trust.conftest import NAME, OTHER
from tests.trust.thief import Thief

ANSWER, HIS = re.compile(rb"\x2b([A-Za-z0-9_-]{43})"), b"h" * 43


@pytest.fixture
def renew(box: Box) -> Callable[[], int]:
    """One order of which the CA validates the name anew; its exit code."""

    def order() -> int:
        box.forget_validations()
        return box.run("reissue", NAME, "--yes").code

    return order


def test_the_line_to_the_name_server(box: Box, lab: Lab, renew: Callable[[], int]) -> None:
    """A signature keeps each change as it is; what is public is seen, and what does not come through is tried again."""
    thief = Thief("The line to the name server")
    with DnsLine((LOOPBACK, lab.bind.port)) as line:
        box.write(dns={"port": line.port, "propagation_timeout": "10s"})
        sent: list[bytes] = []
        line.up = lambda data: sent.append(data) or data  # type: ignore[func-returns-value]
        assert renew() == 0
        thief.tries("a look at the answers to challenges", got=bool(ANSWER.search(line.seen)))
        assert not box.txt(NAME), "the answer was taken back"
        _say_again(lab, sent[0])
        thief.tries(
            "an answer that was taken back, by the same update again within five minutes", got=bool(box.txt(NAME))
        )
        assert renew() == 0, "it does no harm"

        line.up = lambda data: ANSWER.sub(b"\x2b" + HIS, data)
        assert renew() == 1
        thief.tries("a record of his, by a change of an update under way", got=HIS.decode() in box.txt(NAME))
        line.down = _all_is_well
        believed = "its answer cannot be trusted" not in box.run("reissue", NAME, "--yes").err
        thief.tries("that we believe in a change that was never made", got=believed)
        line.up, line.down, line.lie = (lambda data: sent.append(data) or data), bytes, _alias  # type: ignore[func-returns-value]
        sent.clear()
        box.run("reissue", NAME, "--yes")
        elsewhere = any(_wire(OTHER) in message for message in sent)
        thief.tries("our answer at another name that the key may write, by a lie about an alias", got=elsewhere)
        assert not box.txt(OTHER), "it was taken back"
        line.up, line.lie = (lambda _: None), bytes
        thief.tries("that no certificate comes", got=renew() == 1)
        line.up = bytes
        assert renew() == 0
    thief.is_told()


def _say_again(lab: Lab, message: bytes) -> None:
    with socket.create_connection((LOOPBACK, lab.bind.port), 5) as connection:
        connection.sendall(message)
        connection.recv(65535)


def _wire(name: str) -> bytes:
    return dns.name.from_text(name).to_digestable()


def _alias(data: bytes) -> bytes:
    """The name of our challenges becomes an alias for another one of ours."""
    answer = dns.message.from_wire(data)
    owner = answer.question[0].name
    if owner == dns.name.from_text(f"_acme-challenge.{NAME}") and answer.question[0].rdtype == dns.rdatatype.CNAME:
        answer.answer = [dns.rrset.from_text(owner, 0, "IN", "CNAME", f"_acme-challenge.{OTHER}.")]
        answer.authority = []
    return answer.to_wire()


def _all_is_well(data: bytes) -> bytes:
    """A refusal of the server becomes NOERROR, without a signature."""
    refusal = dns.message.from_wire(data[2:], keyring=False)
    answer = dns.message.Message(refusal.id)
    answer.flags, answer.sections = refusal.flags, [refusal.sections[0], [], [], []]
    answer.set_rcode(dns.rcode.NOERROR)
    wire = answer.to_wire()
    return len(wire).to_bytes(2, "big") + wire


def test_the_line_to_the_ca(box: Box, lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """TLS shows him a host name; a certificate of another CA than the one that counts lets him in nowhere."""
    thief = Thief("The line to the CA")
    public = Authority("A public CA")
    with Line((LOOPBACK, lab.pebble.port)) as line:
        box.write(acme={"directory": f"https://localhost:{line.port}/dir"})
        box.ok("init")  # an account there
        box.ok("reissue", NAME, "--yes")
        assert line.met
        words = [NAME.encode(), b"newOrder", b"jwk"]
        thief.tries("a look at orders and answers", got=any(word in line.seen for word in words))
    (tmp_path / "proxy").mkdir()
    with CaProxy(tmp_path / "proxy", lab.pebble) as his:
        box.write(acme={"directory": his.directory})
        monkeypatch.setenv("SSL_CERT_FILE", str(public.write(tmp_path / "public")))
        for what, bundle, certificate in (
            ("the place of the CA, by a certificate of a CA of his", lab.pebble.ca_file, None),
            ("the same by a certificate of a public CA, with `ca_bundle`", lab.pebble.ca_file, ["localhost"]),
            ("the same without `ca_bundle`, by one for a name of his", "", ["thief.test"]),
            ("the same without `ca_bundle`, by one for the CA's name", "", ["localhost"]),
        ):
            if certificate is not None:
                his.show(public.issue(certificate).write(tmp_path / "shown"))
            box.write(acme={"ca_bundle": str(bundle)})
            his.seen.clear()
            box.run("reissue", NAME, "--yes")
            thief.tries(what, got=bool(his.seen))
    thief.is_told()


def test_the_line_to_the_mail_server(tmp_path: Path) -> None:
    """With TLS asked for, nothing is said without it; a mail that does not go out is kept."""
    thief = Thief("The line to the mail server")
    his = Authority("His CA").issue(["localhost"]).write(tmp_path / "his")
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text(PASSWORD)
    with Smtp(tmp_path, password=True) as smtp, Line((LOOPBACK, smtp.port)) as line:

        def mailed(**settings: object) -> bool:
            """Does the mail server get a mail? He looks on."""
            line.seen, count = b"", len(smtp.letters)
            given = {"smtp_host": "localhost", "smtp_port": line.port, "smtp_ca_bundle": smtp.ca_file, **settings}
            server = MailServer(NotifySettings(email_to=("noc@example.com",), **given), "issuer")  # type: ignore[arg-type]
            try:
                server.send("certfleet: 1 certificate failed", "its error")
            except MailError:
                return False
            return len(smtp.letters) > count

        tls = {"smtp_starttls": True, "smtp_user": USER, "smtp_password_file": password}
        assert mailed(**tls)
        thief.tries("a look at mails and password, with `smtp_starttls`", got=b"its error" in line.seen)
        line.down = lambda data: data.replace(b"STARTTLS", b"SIZE")
        thief.tries("the same, by taking STARTTLS out of the server's offer", got=mailed(**tls) or b"noc@" in line.seen)
        line.down = bytes
        with Smtp(tmp_path / "other", password=True) as pose:
            assert his.cert.exists()
            real, line.server = line.server, (LOOPBACK, pose.port)
            thief.tries("the same, by a certificate of a CA of his", got=mailed(**tls) or bool(pose.letters))
            line.server = real
        line.up = lambda _: None
        thief.tries("that no mail comes", got=not mailed(**tls))
    with Smtp(tmp_path / "plain") as smtp, Line((LOOPBACK, smtp.port)) as line:
        assert mailed()
        thief.tries("a look at mails without `smtp_starttls`", got=b"its error" in line.seen)
    thief.is_told()
