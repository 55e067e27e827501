"""transparency: a static log served by nginx, a search, and certificates with keys that we never knew."""

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from common.certificate import fingerprint, spki_sha256
from common.files import locked
from tests.issuer.box import Box
from tests.issuer.notify.conftest import told_by_mail
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.ct_log import CtLog
from tests.servers.nginx import Nginx
from tests.servers.ports import LOOPBACK
from tests.servers.smtp import Smtp

NAME = "www.example.test"
CA = Authority("Root").intermediate("Some CA")
STRANGER = Authority("Root").issue(["unrelated.example.org"]).certificate


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """Serves every log of this file, each in a folder of its own."""
    folder = tmp_path_factory.mktemp("web")
    files = CA.issue(["localhost"]).write(folder / "tls")
    (folder / "logs").mkdir()
    with Nginx(folder, files.fullchain, files.key, http_webroot=folder / "logs") as server:
        yield server


@pytest.fixture
def log(web: Nginx, tmp_path: Path) -> CtLog:
    """A log of 300 entries that do not concern us."""
    log = CtLog(web.folder / "logs" / tmp_path.name, f"logs.example.com/{tmp_path.name}")
    for _ in range(300):
        log.add(STRANGER)
    log.publish()
    return log


@pytest.fixture
def box(lone_box: Box, log: CtLog, web: Nginx, smtp: Smtp) -> Box:
    """One name is enrolled; the log is read from its start."""
    lone_box.document["transparency"] = {"log": [settings(log, web, from_start=True)]}
    told_by_mail(lone_box, smtp)
    lone_box.populate(NAME)
    return lone_box


def settings(log: CtLog, web: Nginx, **more: Any) -> dict[str, Any]:
    key = base64.b64encode(log.key).decode()
    url = f"http://{LOOPBACK}:{web.http_port}/{log.folder.name}/"
    return {"url": url, "key": key, "origin": log.origin, **more}


def ours(box: Box) -> x509.Certificate:
    """A certificate for the key of the CSR that is enrolled, from whatever CA, with whatever serial number."""
    return CA.sign(box.row(NAME, "csr")[0]).certificate


def foreign(box: Box) -> list[dict[str, Any]]:
    done = box.run("transparency", "--json")
    found: list[dict[str, Any]] = done.report()["foreign"]
    assert done.code == (1 if found else 0)
    return found


def test_nothing_is_configured(lone_box: Box) -> None:
    lone_box.refused("transparency", code=2, says=["no source of Certificate Transparency is configured"])


def test_only_foreign_keys_are_told_and_each_once(box: Box, log: CtLog, smtp: Smtp) -> None:
    """Ours, of any CA, is well. A stranger's is an incident: exit 1, history, one mail; also in the next run, without
    another mail; and not once a person knows the key."""
    log.add(ours(box))
    log.publish()
    assert foreign(box) == []
    thief = CA.issue([NAME, "other.example.test"])
    log.add(thief.certificate)
    log.publish()
    (found,) = foreign(box)
    assert (found["ours"], found["issuer"]) == ([NAME], "Some CA")
    assert found["seen_at"].endswith(" entry 301")
    (letter,) = smtp.letters
    assert f"{NAME} has a foreign certificate" in letter.subject
    assert found["key"] in letter.text
    assert "foreign key" in box.ok("history", NAME).out
    assert foreign(box) == [found]
    assert len(smtp.letters) == 1
    plugin = box.run("transparency", "--nagios")
    assert (plugin.code, plugin.out[:44]) == (2, "TRANSPARENCY CRITICAL - Some CA has certifie")
    assert plugin.out.endswith(" | 'foreign'=1 'unread'=0\n")
    assert "certificate for our names" in box.ok("transparency", "--accept", found["key"]).out
    assert foreign(box) == []


def test_a_precertificate_and_its_certificate_are_one(box: Box, log: CtLog) -> None:
    """Of a precertificate the content counts that the tree covers, whatever was submitted with it."""
    thief = CA.issue([f"*.{NAME.partition('.')[2]}"]).certificate
    log.add_precertificate(thief, ours(box).public_bytes(Encoding.DER))
    log.publish()
    (found,) = foreign(box)
    log.add(thief)
    log.publish()
    assert foreign(box) == [found]
    assert found["ours"] == ["*.example.test"]
    assert found["serial"] == f"{thief.serial_number:X}".zfill(40)[-len(found["serial"]) :]


@pytest.mark.parametrize("column", ["csr", "change_csr", "crt", "old_crt", "versions", "row"])
def test_a_planted_key_is_not_ours(box: Box, log: CtLog, column: str) -> None:
    """Whoever writes to the database makes no key known, wherever he puts it, and no name ours."""
    request = csr([NAME], number=1)
    issued = CA.sign(request)
    content = request if "csr" in column else issued.cert_pem
    if column == "versions":
        columns = "name, sha256, serial, issuer, not_before, not_after, crt, ca, stored_at"
        values = f"'{NAME}', '{fingerprint(issued.certificate)}', '01', 'CA', 1, 2, X'{content.hex()}', X'', 1"
        box.database.execute(f"INSERT INTO versions ({columns}) VALUES ({values})")  # noqa: S608
    elif column == "row":
        other = csr(["unrelated.example.org"], number=1).hex()
        columns, values = "name, enable, certbot, csr, crt", f"'x.test', 'Y', 'N', X'{other}', X'{content.hex()}'"
        box.database.execute(f"INSERT INTO certs ({columns}) VALUES ({values})")  # noqa: S608
    else:
        box.database.execute(f"UPDATE certs SET {column} = X'{content.hex()}'")  # noqa: S608
    log.add(issued.certificate)
    log.publish()
    (found,) = foreign(box)
    assert found["ours"] == [NAME]


def test_each_place_of_a_key_of_ours(box: Box, log: CtLog, tmp_path: Path) -> None:
    """Of an earlier certificate, of the request that is enrolled, of one that waits. What is gone from all of them is
    told: that is the worst that somebody who writes to the database can do."""
    earlier, present, coming = (csr([NAME], number=number) for number in range(3))
    file = tmp_path / "given.pem"
    file.write_bytes(CA.sign(earlier).fullchain_pem)
    box.ok("disable", NAME)
    box.ok("import", NAME, "--crt", str(file))
    box.ok("remove", NAME, "--yes")
    box.ok("populate", NAME, "--csr", "-", stdin=present)
    file.write_bytes(CA.sign(present).fullchain_pem)
    box.ok("import", NAME, "--crt", str(file))
    box.ok("populate", "--replace", NAME, "--csr", "-", stdin=coming)
    for request in (earlier, present, coming):
        log.add(CA.sign(request).certificate)
    log.publish()
    assert foreign(box) == []
    box.database.execute("DELETE FROM versions")
    assert [one["key"] for one in foreign(box)] == [spki_sha256(CA.sign(earlier).certificate.public_key())]


def test_a_key_that_was_sealed(box: Box, log: CtLog) -> None:
    """It is known also when somebody has put another request into the row."""
    log.add(ours(box))
    log.publish()
    box.database.execute(f"UPDATE certs SET csr = X'{csr([NAME], number=1).hex()}'")  # noqa: S608
    assert foreign(box) == []
    box.database.execute("UPDATE certs SET seal = 'x' || seal")
    assert len(foreign(box)) == 1


def test_the_first_look_begins_at_the_end(box: Box, log: CtLog, web: Nginx) -> None:
    """What comes later is seen, over more than one tile."""
    box.document["transparency"] = {"log": [settings(log, web)]}
    box.write()
    log.add(CA.issue([NAME]).certificate)
    log.publish()
    assert foreign(box) == []
    for _ in range(300):
        log.add(STRANGER)
    log.add(CA.issue([NAME]).certificate)
    log.publish()
    (found,) = foreign(box)
    assert found["seen_at"].endswith(" entry 601")


def test_a_log_that_lies(box: Box, log: CtLog) -> None:
    """An entry is shown as another one, entries of before are changed, the checkpoint is old, the log shrinks: each is
    told, and what is read of it does not count."""
    box.ok("transparency")

    def fails(says: str) -> None:
        done = box.run("transparency", "--json")
        assert done.code == 1
        (unread,) = done.report()["unread"]
        assert says in unread["what"]

    thief = CA.issue([NAME])
    log.add(thief.certificate)
    log.publish()
    tile = log.folder / "tile/data/001.p/45"
    honest = tile.read_bytes()
    tile.write_bytes(honest.replace(thief.certificate.public_bytes(Encoding.DER)[-40:], bytes(40)))
    fails("its entries are not those that it has signed")
    tile.write_bytes(honest[:-1])
    fails("cut off")
    tile.write_bytes(honest)
    log.publish(age=90_000)
    fails("older than a day")
    log.publish()
    assert len(foreign(box)) == 1
    smaller = CtLog(log.folder, log.origin)
    smaller._key, smaller.key = log._key, log.key
    smaller.add(STRANGER)
    smaller.publish()
    fails("it has shrunk to 1 entries from 301")


def test_a_key_that_is_accepted_is_said(lone_box: Box) -> None:
    """Whatever else a look finds; not with -q. A search without TLS is asked on this machine alone."""
    lone_box.document["transparency"] = {"crt_sh": "http://127.0.0.1:9/", "crt_sh_pause": "0s"}
    lone_box.write()
    key = "ab" * 32
    assert f"the key {key} is kept as one of ours" in lone_box.run("transparency", "--accept", key.upper()).out
    assert lone_box.run("transparency", "--accept", key, "-q").out == ""
    assert lone_box.run("transparency", "--accept", key, "--json").report()["accepted"] == [key]
    lone_box.document["transparency"]["crt_sh"] = "http://crt.example/"
    lone_box.write()
    lone_box.refused("transparency", code=2, says=["transparency.crt_sh: must be a URL of https"])


def test_one_at_a_time(lone_box: Box) -> None:
    """cron comes again while a source is slow: the second look ends at once, and says why."""
    lone_box.document["transparency"] = {"crt_sh": "http://127.0.0.1:9/"}
    lone_box.write()
    lone_box.run("transparency")
    with locked(lone_box.state_dir / "transparency.lock", doing="the first look"):
        lone_box.refused("transparency", code=3, says=["the first look"])
        assert lone_box.run("transparency", "--nagios").code == 3


def test_a_source_that_is_away_keeps_no_other_from_being_read(box: Box, log: CtLog, web: Nginx) -> None:
    log.add(CA.issue([NAME]).certificate)
    log.publish()
    away = settings(log, web) | {"url": f"http://{LOOPBACK}:9/"}
    box.document["transparency"]["log"].insert(0, away)
    box.write()
    done = box.run("transparency", "--json").report()
    assert len(done["foreign"]) == len(done["unread"]) == 1
    unread = box.run("transparency", "--nagios", "--accept", done["foreign"][0]["key"])
    assert (unread.code, unread.out[:24]) == (3, "TRANSPARENCY UNKNOWN - h")
