"""A name that was removed and is enrolled again: a new row, of which nothing is missed and nothing comes back."""

from issuer.trust.memory import MEMORY, Memory
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAME = "www.lab.test"


def is_not_signed(box: Box) -> bool:
    [found] = box.run("status", "--json").report()["certificates"]
    return bool(found["not_signed"])


def test_it_is_well_before_its_first_certificate(lone_box: Box) -> None:
    """Its last certificate went with the row. Put back with its statement it is not signed; a new one has a higher
    sequence."""
    file = lone_box.folder / "bought.pem"
    file.write_bytes(Authority("Root").intermediate("CA").sign(csr([NAME])).fullchain_pem)
    lone_box.ok("import", NAME, "--crt", str(file))
    lone_box.ok("status", NAME)
    crt, ca, statement = lone_box.row(NAME, "crt", "ca", "statement")
    memory = Memory(lone_box.state_dir / MEMORY)
    before = memory.stated(NAME)
    assert before is not None
    lone_box.ok("remove", NAME, "--yes")
    lone_box.ok("populate", "--enable", NAME, "--csr", "-", stdin=csr([NAME]))
    assert not is_not_signed(lone_box)
    put_back = f"crt = X'{bytes(crt).hex()}', ca = X'{bytes(ca).hex()}', statement = '{statement}'"
    for cells in (put_back, put_back.partition(", statement")[0] + ", statement = NULL", "crt = X'2d', ca = NULL"):
        lone_box.database.execute(f"UPDATE certs SET {cells}")  # noqa: S608
        assert is_not_signed(lone_box), cells
    lone_box.database.execute("UPDATE certs SET crt = NULL, ca = NULL, statement = NULL")
    lone_box.ok("disable", NAME)
    lone_box.ok("import", NAME, "--crt", str(file))
    lone_box.ok("status", NAME)
    after = memory.stated(NAME)
    assert after is not None
    assert (after.sha256, after.sequence > before.sequence) == (before.sha256, True)
