"""A certificate that its CA has revoked: found by a list that nginx serves, told at once, and replaced by Pebble."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from issuer.check.revocation import Revocations
from issuer.model.enrolment import Enrolment, Validation
from issuer.model.events import EventKind, recovered
from issuer.rules.alarms import weigh
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK
from tests.servers.revocation import listed_at, revocation_list
from tests.servers.silent import Silent
from tests.servers.smtp import Smtp
from tests.servers.stopwatch import Stopwatch

NAME, OTHER = "www.lab.test", "shop.lab.test"


class Lists:
    """A CA with an intermediate, and nginx with its list."""

    def __init__(self, folder: Path):
        self.authority = Authority("Company Root").intermediate("Company CA")
        self._webroot = folder / "lists"
        self._webroot.mkdir()
        files = self.authority.issue(["localhost"]).write(folder / "tls")
        self.nginx = Nginx(folder / "nginx", files.fullchain, files.key, http_webroot=self._webroot)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.nginx.http_port}/1.crl"

    def revoke(self, *certificates: x509.Certificate) -> None:
        (self._webroot / "1.crl").write_bytes(revocation_list(self.authority, *certificates))


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lists]:
    one = Lists(tmp_path_factory.mktemp("lists"))
    with one.nginx:
        yield one


def put(box: Box, lists: Lists, name: str) -> x509.Certificate:
    """A certificate of that CA as the present one, signed for by us."""
    issued = lists.authority.sign(bytes(box.row(name, "csr")[0]), more=[listed_at(lists.url)])
    pair = f"crt = X'{issued.cert_pem.hex()}', ca = X'{issued.chain_pem.hex()}', audit_at = NULL"
    box.database.execute(f"UPDATE certs SET {pair} WHERE name = '{name}'")  # noqa: S608
    box.ok("key", "sign", name, "--yes")
    return issued.certificate


def test_it_is_told_at_once_and_replaced(box: Box, lists: Lists, smtp: Smtp) -> None:
    """Good is no news; the look shows the three signals apart and changes nothing; `run` mails before it orders."""
    box.document["notify"] = {"email_to": ["noc@example.com"], "smtp_host": "127.0.0.1", "smtp_port": smtp.port}
    box.write()
    box.enrol(NAME)
    box.ok("issue", NAME)
    leaf = put(box, lists, NAME)
    lists.revoke()
    assert box.ok("run").out == "nothing is due\n"
    assert f"{NAME}: revocation: good; fresh until" in box.run("audit", "-v").out
    lists.revoke(leaf)
    assert "revoked" not in [one["kind"] for one in box.run("audit", "--local", "--json").report()["findings"]]
    document = box.fails("audit", "--json", says=[]).report()
    said = document["revocation"][NAME]
    assert (said["asked"], said["available"], said["revoked"]) == ([lists.url], True, True)
    assert document["to_be_replaced"] == {NAME: ["revoked"]}
    assert box.row(NAME, "reissue_reason") == (None,)
    box.database.execute("UPDATE certs SET audit_at = NULL")
    assert f"{NAME}: stored" in box.ok("run").out
    assert [letter.subject.partition(" on ")[0] for letter in smtp.letters] == [
        f"certfleet: {NAME} is revoked",
        f"certfleet: {NAME} recovered",
    ]
    assert "REVOKED BY THE CA (1)" in smtp.letters[0].text
    assert box.ok("run").out == "nothing is due\n"


def test_nobody_is_asked_where_the_setting_says_so(lone_box: Box, lists: Lists) -> None:
    lone_box.populate(NAME)
    lists.revoke(put(lone_box, lists, NAME))
    lone_box.ok("enable", NAME)
    assert lone_box.run("audit", NAME, "--json").report()["revocation"][NAME]["status"] == "revoked"
    lone_box.document["audit"] = {"revocation": False}
    lone_box.write()
    assert lone_box.run("audit", NAME, "--json").report()["revocation"][NAME]["status"] == "not asked"
    lone_box.run("run")
    assert lone_box.row(NAME, "audit_found", "reissue_reason") == (None, None)


def rows(authority: Authority, url: str, count: int) -> list[Enrolment]:
    names = [f"w{number}.example.test" for number in range(count)]
    issued = [authority.sign(csr([name]), more=[listed_at(url)]) for name in names]
    given: dict[str, Any] = {
        "enabled": True,
        "validation": Validation(),
        "csr": b"",
        "ts_expire": None,
        "ts_last_update": 1,
    }
    given |= {"failures": 0, "due_at": None, "reissue_reason": ""}
    pairs = zip(names, issued, strict=True)
    return [Enrolment(name=name, crt=one.cert_pem, ca=one.chain_pem, **given) for name, one in pairs]


def test_silence_has_a_bound_for_all_together(lists: Lists) -> None:
    """However many certificates there are, who has their list is called once. What could not be asked is unknown."""
    with Silent() as silent:
        watch = Stopwatch()
        some = rows(lists.authority, f"http://{LOOPBACK}:{silent.port}/1.crl", 40)
        asked = Revocations(0.5, lambda _row: True)
        answers = asked.of(some, int(time.time())) + asked.of(some[:9], int(time.time()))
    assert {answer.status.value for answer in answers} == {"unknown"}
    assert (silent.calls, watch.seconds() < 12) == (1, True)


def test_a_new_certificate_takes_no_news_of_it_back() -> None:
    """Hosts may serve the revoked one still, so its mail goes out although it is over."""
    change = weigh(recovered(NAME), {EventKind.REVOKED, EventKind.AUDIT}, {EventKind.REVOKED, EventKind.AUDIT})
    assert (change.alarms, change.retract, change.mail) == (frozenset(), frozenset({EventKind.AUDIT}), True)
