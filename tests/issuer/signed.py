"""Certificates in the table of a box, and the statements about them."""

from common.statement import Statement
from issuer.model.leaf import Leaf, leaf_of
from issuer.trust.statements import Statements
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

CA = Authority("Root").intermediate("CA")
NAME, OTHER = "www.lab.test", "mail.lab.test"


def statement(box: Box, name: str = NAME) -> Statement:
    """The statement in a row, which the key of the box has signed about its present certificate."""
    text, crt = box.row(name, "statement", "crt")
    found, leaf = Statements(box.state_dir).key().statement(str(text)), leaf_of(bytes(crt))
    assert found is not None
    assert isinstance(leaf, Leaf)
    assert (found.name, found.sha256, found.key, found.ends) == (name, leaf.sha256, leaf.spki_sha256, leaf.ends)
    return found


def take_in(box: Box, name: str = NAME) -> None:
    file = box.folder / "bought.pem"
    file.write_bytes(CA.sign(csr([name])).fullchain_pem)
    box.ok("import", name, "--crt", str(file), "--label")


def steal(box: Box, name: str = NAME) -> None:
    """A thief's certificate, of a CA of his own, for the key that is enrolled."""
    forged = Authority("Thief").intermediate("Thief too").sign(csr([name])).cert_pem.hex()
    box.database.execute(f"UPDATE certs SET crt = X'{forged}' WHERE name = '{name}'")  # noqa: S608


def put_back(box: Box, row: tuple[object, ...]) -> None:
    """Certificate, chain and statement as they were."""
    crt, ca, text = (value if isinstance(value, bytes) else str(value).encode() for value in row)
    values = f"crt = X'{crt.hex()}', ca = X'{ca.hex()}', statement = '{text.decode()}'"
    box.database.execute(f"UPDATE certs SET {values} WHERE name = '{NAME}'")  # noqa: S608
