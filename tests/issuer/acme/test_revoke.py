"""revoke: the CA is told, a compromised key is certified no more, other versions stay."""

from pathlib import Path

import pytest

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.issuer.test_sealing import typed
from tests.servers.authority import Authority
from tests.servers.ca_proxy import CaProxy, Reply, times

NAME, OTHER, ALIEN = "www.lab.test", "mail.lab.test", "alien.lab.test"


def test_revoke_asks_and_tells_the_ca(proxied: Box, proxy: CaProxy) -> None:
    """The CA gets certificate and reason; a key compromise disables the row, because its key must not come back."""
    proxied.enrol(NAME)
    proxied.ok("run")
    proxied.refused("revoke", NAME, code=2, says=["confirmation"])
    assert proxy.paths("/revoke-cert") == []
    proxy.before.append(times(3, "/revoke-cert", Reply(200, b"")))
    for reason, remedy in (("0", "reissue"), ("4", "reissue"), ("5", "remove")):
        assert f"`{remedy} {NAME}`" in proxied.ok("revoke", NAME, "--reason", reason, "--yes").out
        assert proxied.row(NAME, "enable") == ("Y",)
    proxied.ok("revoke", NAME, "--reason", "1", "--yes")
    assert [(request.payload or {})["reason"] for request in proxy.paths("/revoke-cert")] == [0, 4, 5, 1]
    assert proxied.row(NAME, "enable") == ("N",)


def test_a_compromised_key_is_certified_no_more(box: Box) -> None:
    """Nobody gets it certified again by a habit: not by enable, issue, reissue or challenges, nor enrolled anew."""
    box.enrol(NAME)
    box.ok("run")
    request = bytes(box.row(NAME, "csr")[0])
    box.ok("revoke", NAME, "--reason", "1", "--yes")
    assert "disabled, revoked" in box.ok("status", NAME).out
    before = box.contents()
    for command in ("enable", "issue", "reissue", "challenges"):
        box.refused(command, NAME, code=1, says=[f"the key of {NAME} was revoked as compromised", "new key"])
    assert box.contents() == before
    box.ok("revoke", NAME, "--reason", "superseded", "--yes")  # a second revocation makes the key no better
    box.refused("enable", NAME, code=1, says=["compromised"])
    box.ok("remove", NAME, "--yes")
    box.refused("populate", NAME, "--csr", "-", code=1, says=["compromised"], stdin=request)
    box.populate(NAME, kind="rsa2048")
    box.ok("run")


@pytest.mark.soak
def test_a_compromised_key_of_several_certificates(box: Box) -> None:
    """Every good certificate with it is named, of whichever name, with the command that revokes it."""
    for name in (OTHER, NAME):
        box.enrol(name)
    box.enrol(ALIEN, kind="ecdsa-p384")
    box.ok("run")
    [version] = box.ok("history", OTHER, "--json").report()["versions"]
    said = box.ok("revoke", NAME, "--reason", "1", "--yes").out
    [line] = [line for line in said.splitlines() if "has the same key" in line]
    assert line.startswith(f"{OTHER}: serial {version['serial']}, ")
    assert line.endswith(f"`revoke {OTHER} --serial {version['serial']} --reason 1`")


def test_what_has_a_compromised_key_is_told_and_does_not_come_back(box: Box, tmp_path: Path) -> None:
    """Of two certificates with one key the other is named for its revocation, and neither `rollback` nor `import` takes
    it; a row that an old script has enabled gets no certificate, and people hear why."""
    box.enrol(NAME)
    box.ok("run")
    box.ok("reissue", NAME)
    stored = box.ok("history", NAME, "--json").report()["versions"]
    old, present = (version["serial"] for version in reversed(stored))
    revoked = box.ok("revoke", NAME, "--serial", old, "--reason", "1", "--yes").out
    assert f"{NAME}: serial {present}, valid until" in revoked
    assert f"has the same key: `revoke {NAME} --serial {present} --reason 1`" in revoked
    box.fails("status", NAME, says=["disabled, key compromised"])
    pair = [bytes(part) for part in box.row(NAME, "crt", "ca")]
    box.ok("remove", NAME, "--yes")
    file = tmp_path / "present.pem"
    file.write_bytes(b"".join(pair))
    box.refused("import", NAME, "--crt", str(file), code=1, says=["its key was revoked as compromised"])
    box.ok("populate", NAME, "--csr", "-", stdin=csr([NAME], "rsa2048"))
    box.database.execute(f"UPDATE certs SET enable = 'Y', csr = X'{csr([NAME]).hex()}'")  # noqa: S608 - an old script
    box.ok("adopt", NAME, "--yes")
    box.refused("rollback", NAME, "--serial", present, code=1, says=["its key was revoked as compromised"])
    box.fails("run", says=[f"the key of {NAME} was revoked as compromised", "make a new key"])
    assert len(box.orders()) == 2


def test_who_has_a_new_key_already_stays_enabled(box: Box) -> None:
    """First the new certificate, then the old one revoked, as the page says: renewal must not end by that."""
    box.enrol(NAME)
    box.ok("run")
    old = box.serial(NAME)
    box.ok("remove", NAME, "--yes")
    box.populate(NAME, kind="rsa2048")
    box.ok("run")
    assert "disabled" not in box.ok("revoke", NAME, "--serial", f"{old:X}", "--reason", "1", "--yes").out
    assert box.row(NAME, "enable", "revoked") == ("Y", None)
    box.ok("status", NAME)
    box.ok("reissue", NAME)


def test_a_revoked_certificate_does_not_come_back(box: Box) -> None:
    """rollback refuses it, and history shows which one it is."""
    box.enrol(NAME)
    box.ok("run")
    box.ok("revoke", NAME, "--reason", "4", "--yes")
    box.ok("reissue", NAME)
    present = box.serial(NAME)
    box.refused("rollback", NAME, code=1, says=["it was revoked"])
    assert box.serial(NAME) == present
    stored = box.ok("history", NAME, "--json").report()["versions"]
    assert [version["revoked"] for version in stored] == [False, True]
    assert "revoked" in box.ok("history", NAME).out.splitlines()[2]


@pytest.mark.soak
def test_a_damaged_certificate_is_told_and_is_not_in_the_way(box: Box) -> None:
    """One whose row holds no PEM any more is named with what to do, and the undamaged ones stay in reach."""
    box.enrol(NAME)
    box.ok("run")
    box.ok("reissue", NAME)
    newest = box.serial(NAME)
    box.database.execute("UPDATE certs SET crt = X'2d2d2d'")
    box.refused("revoke", NAME, "--yes", code=1, says=["is damaged", "--serial"])
    box.database.execute("UPDATE versions SET crt = X'2d2d2d' WHERE id = 1")
    assert "damaged" in box.ok("history", NAME).out
    stored = box.ok("history", NAME, "--json").report()["versions"]
    assert [(version["damaged"], len(version["names"])) for version in stored] == [(False, 1), (True, 0)]
    for command in ("revoke", "rollback"):
        words = [command, NAME, "--serial", stored[1]["serial"], *(["--yes"] if command == "revoke" else [])]
        box.refused(*words, code=1, says=["is damaged", "backup"])
    box.ok("rollback", NAME)
    box.ok("status", NAME)
    assert box.serial(NAME) == newest


def test_an_earlier_version_is_revoked_and_the_present_one_stays(box: Box) -> None:
    """Nothing is said of servers that go on serving it; `history` names the CA that issued each."""
    box.enrol(NAME)
    box.ok("run")
    box.ok("reissue", NAME)
    history = box.ok("history", NAME, "--json").report()
    old = history["versions"][1]["serial"]
    outcome = box.ok("revoke", NAME, "--serial", old, "--reason", "4", "--yes").out
    assert "is not the present one" in outcome
    assert "go on serving" not in outcome
    assert box.row(NAME, "revoked") == (None,)
    directory = box.document["acme"]["directory"]
    assert history["events"][0]["detail"].endswith(f" from {directory}")


@pytest.mark.soak
def test_what_was_removed_can_be_revoked(proxied: Box, proxy: CaProxy) -> None:
    """By its serial, as `history` shows it, at the CA that issued it; without one the hint says that it was removed."""
    proxied.enrol(NAME, "*.other.lab.test")
    proxied.ok("run")
    [version] = proxied.ok("history", NAME, "--json").report()["versions"]
    said = proxied.ok("remove", NAME, "--yes").out
    assert f"`revoke {NAME} --serial` can use them" in said
    assert f"in DNS stay _acme-challenge.{NAME}, _acme-challenge.other.lab.test and the NS records" in said
    says = [f"{NAME} was removed at 2", f"`history {NAME}` shows it"]
    for words in (["revoke", NAME, "--yes"], ["status", NAME], ["issue", NAME]):
        assert "did you mean" not in proxied.refused(*words, code=2, says=says).err
    proxied.refused("revoke", NAME, "--serial", "AB", "--yes", code=1, says=["no such certificate"])
    proxied.refused("revoke", "never.lab.test", "--serial", version["serial"], "--yes", code=2, says=["not enrolled"])
    assert proxy.paths("/revoke-cert") == []
    said = proxied.ok("revoke", NAME, "--serial", version["serial"], "--reason", "1", "--yes").out
    assert f"{NAME} is not enrolled any more" in said
    assert len(proxy.paths("/revoke-cert")) == 1
    history = proxied.ok("history", NAME, "--json").report()
    assert [version["revoked"] for version in history["versions"]] == [True]
    assert [event["event"] for event in history["events"]][:2] == ["revoked", "removed"]


def test_what_this_issuer_does_not_remember_is_shown_and_asked(proxied: Box, proxy: CaProxy) -> None:
    """Somebody wrote it into the row, as the database alone says: --yes is no answer, a person at a terminal is."""
    proxied.enrol(NAME)
    proxied.ok("run")
    other = Authority("Root").intermediate("CA").sign(bytes(proxied.row(NAME, "csr")[0]))
    set_to = f"crt = X'{other.cert_pem.hex()}', ca = X'{other.chain_pem.hex()}'"
    proxied.database.execute(f"UPDATE certs SET {set_to}")  # noqa: S608
    proxy.before.append(times(1, "/revoke-cert", Reply(200, b"")))
    refused = proxied.refused(
        "revoke", NAME, "--yes", code=1, says=["--yes revokes only what this issuer remembers", "--serial"]
    )
    assert f"{other.certificate.serial_number:X}" in refused.out
    assert typed(proxied, "y", "revoke", NAME)[0] == 1
    assert proxy.paths("/revoke-cert") == []
    code, screen = typed(proxied, NAME, "revoke", NAME)
    assert (code, "does not remember" in screen, len(proxy.paths("/revoke-cert"))) == (0, True, 1), screen
