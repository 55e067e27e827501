"""`audit --fix` on a real CA: a new certificate now, and nothing is left to find."""

from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.issuer.box import Box
from tests.servers.authority import Authority


def test_it_is_replaced_now(box: Box) -> None:
    """With DNS and CAA looked at as well: a name without an address is told, and no new certificate cures that."""
    name = box.enrol("www.lab.test")
    box.ok("issue", name)
    request = bytes(box.row(name, "csr")[0])
    bad = Authority("Root").intermediate("CA").sign(request, usage=ExtendedKeyUsageOID.CLIENT_AUTH)
    set_to = f"crt = X'{bad.cert_pem.hex()}', ca = X'{bad.chain_pem.hex()}'"
    box.database.execute(f"UPDATE certs SET {set_to} WHERE name = '{name}'")  # noqa: S608
    box.ok("key", "sign", name, "--yes")
    found = box.fails("audit", name, "--json", says=[]).report()
    assert [one["kind"] for one in found["findings"]] == ["no-server-auth", "name-unresolved"]
    fixed = box.run("audit", name, "--fix", "--retry", "1m")
    assert (fixed.code, f"{name}: stored" in fixed.out) == (1, True), fixed
    found = box.fails("audit", name, "--json", says=[]).report()
    assert [one["kind"] for one in found["findings"]] == ["name-unresolved"]
    assert "with findings; nothing is ordered\n" in box.fails("audit", name, "--fix", says=[]).out
    assert box.ok("run").out == "nothing is due\n"
    assert box.row(name, "audit_found", "audit_served") == (None, None)
