"""What docs/upkeep.md tells people to do, done."""

from cryptography import x509

from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.lab import Lab


def leaf(box: Box, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(box.row(name, "crt")[0])


def test_a_tsig_secret_is_rotated_under_its_name(box: Box, lab: Lab) -> None:
    """New secret on both sides: nothing else changes. With one side only, the error says which key is wrong."""
    file = lab.bind.tsig_key("rotated")
    box.write(dns={"tsig_key_file": str(file)})
    name = box.enrol("www.example.test", key="rotated")
    box.ok("run")
    assert lab.bind.tsig_key("rotated") == file
    assert "BADSIG" in box.run("reissue", name).err
    lab.bind.reconfigure()
    box.ok("check", name)
    box.ok("issue", name)


def test_a_lost_key_is_replaced(box: Box) -> None:
    """A new CSR under the same name gets a certificate for its key; what was stored before stays in the history."""
    name = box.enrol("www.example.test")
    box.ok("run")
    before = leaf(box, name)
    box.ok("remove", name, "--yes")
    box.ok("populate", name, "--csr", "-", stdin=csr([name], "rsa2048"))
    box.ok("enable", name)
    box.ok("issue", name)
    assert leaf(box, name).public_key() != before.public_key()
    assert len(box.ok("history", name, "--json").report()["versions"]) == 2


def test_two_keys_for_the_same_names(box: Box) -> None:
    """The second row has a label of its own; both are stored and use one sub-zone."""
    name = box.enrol("www.example.test")
    box.ok("populate", f"{name}-rsa", "--label", "--csr", "-", stdin=csr([name], "rsa2048"))
    box.ok("enable", f"{name}-rsa")
    assert box.ok("run").out.count(": stored") == 2
    kinds = {type(leaf(box, row).public_key()).__name__ for row in (name, f"{name}-rsa")}
    assert kinds == {"RSAPublicKey", "ECPublicKey"}
