"""Thieves with the files of the issuer: its whole disk, or a backup of what the pages say to back up."""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from common.certificate import spki_sha256
from issuer.model.enrolment import Validation
from issuer.model.leaf import Leaf, leaf_of
from issuer.model.seal import Sealed
from issuer.rules.csr import read_csr
from issuer.trust.seals import Seals
from issuer.trust.statements import Statements
from tests.agent.host import Host
from tests.agent.signing_issuer import SigningIssuer
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority, Issued
from tests.servers.database import SqliteDatabase
from tests.trust.conftest import NAME, OTHER, STOLEN, gets, is_his
from tests.trust.thief import Thief

Den = Callable[..., Box]
_PRIVATE = re.compile(rb"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.*?-----END \1PRIVATE KEY-----", re.DOTALL)


def contents(*folders: Path) -> list[bytes]:
    return [file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()]


def host_keys(box: Box, texts: Iterable[bytes]) -> set[str]:
    """The keys of enrolled hosts whose private half is in *texts*. There are two others: of account and statements."""
    keys = [load_pem_private_key(pem[0], None) for text in texts for pem in _PRIVATE.finditer(text)]
    assert len(keys) == 2
    found = {spki_sha256(key.public_key()) for key in keys}  # type: ignore[arg-type]
    return found & {read_csr(bytes(box.row(name, "csr")[0])).spki_sha256 for name in (NAME, OTHER)}


def seal_of_his(state_dir: Path) -> str:
    """A seal over his own CSR, by a stolen key."""
    request = read_csr(csr([NAME], number=STOLEN))
    return Seals(state_dir).seal(Sealed.enrolling(NAME, request.pem, request, Validation(), 9_999_999_999))


def put_his(box: Box, seal: str) -> None:
    """His CSR with that seal in the database, due now."""
    request = read_csr(csr([NAME], number=STOLEN)).pem.hex()
    values = f"csr = X'{request}', seal = '{seal}', reissue_reason = 'x', due_at = NULL"
    box.database.execute(f"UPDATE certs SET {values} WHERE name = '{NAME}'")  # noqa: S608


@pytest.fixture
def host(box: Box, tmp_path: Path) -> SigningIssuer:
    """The issuer of a host that pins the statement key of the box, and that key."""
    made = Host(tmp_path / "host")
    made.make_key()
    made.put_placeholder()
    issuer = SigningIssuer(made, tmp_path / "another")
    issuer.statements = Statements(box.state_dir)
    made.configure(issuer_key=issuer.key_text)
    made.first = made.sign()
    issuer.offer(made.first, issuer.sign(made.first))
    assert made.run().code == 0
    return issuer


def serves(issuer: SigningIssuer, issued: Issued) -> bool:
    """Does the host take it with a statement of the stolen key?"""
    issuer.offer(issued, issuer.sign(issued))
    issuer.host.run()
    return issuer.host.fullchain.read_bytes() == issued.fullchain_pem


def test_the_issuer_s_disk(box: Box, den: Den, host: SigningIssuer) -> None:
    """He is the issuer from then on; a host takes no more from an issuer than what it can use."""
    thief = Thief("The disk of the issuer")
    his = den(tsig=Path(box.document["dns"]["tsig_key_file"]), account=box.state_dir / "account.pem")
    thief.tries("a certificate for his own key, for every name whose TSIG key is there", got=gets(his, NAME))
    assert isinstance(box.database, SqliteDatabase)
    found = host_keys(box, [*contents(box.folder), box.database.content()])
    thief.tries("the private key of a host", got=bool(found))
    put_his(box, seal_of_his(box.state_dir))
    box.run("run")
    thief.tries("that the issuer orders for his own key", got=is_his(bytes(box.row(NAME, "crt")[0])))
    thief.tries("that a host serves that", got=serves(host, host.host.authority.issue([host.host.name])))
    forged = Authority("Thief").sign((host.host.folder / "host.csr").read_bytes())
    thief.tries("that a host serves one of a CA of his own for its key", got=serves(host, forged))
    thief.is_told()


def test_a_backup_of_the_issuer(box: Box, den: Den, host: SigningIssuer, tmp_path: Path) -> None:
    """State folder and database of yesterday. What he signs with the keys reaches nobody, as long as he reaches neither
    the name servers nor the database of today."""
    thief = Thief("A backup of the issuer")
    backup = tmp_path / "backup"
    shutil.copytree(box.state_dir, backup)
    assert isinstance(box.database, SqliteDatabase)
    (backup / "certfleet.db").write_bytes(box.database.content())
    box.forget_validations()
    his = den(account=backup / "account.pem")
    thief.tries("a certificate for his own key, for a name that the CA has to validate", got=gets(his, NAME))
    thief.tries("the private key of a host", got=bool(host_keys(box, contents(backup))))
    secret = Path(box.document["dns"]["tsig_key_file"]).read_text(encoding="utf-8").split('"')[3].encode()
    assert len(secret) > 20
    thief.tries("a TSIG key", got=any(secret in text for text in contents(backup)))
    put_his(box, seal_of_his(backup))
    thief.tries("a seal that counts, once he may write the database", got="not sealed" not in box.run("status").out)
    leaf = leaf_of(bytes(box.row(NAME, "crt")[0]))
    assert isinstance(leaf, Leaf)
    said = Statements(backup).key().sign(NAME, leaf, 9_999_999_999, 9_999_999_999, older=False)
    got = Statements(box.state_dir).key().statement(said) is not None
    thief.tries("a statement that counts, once he may write the database", got=got)

    box.database.execute(f"DELETE FROM certs WHERE name = '{NAME}'")  # noqa: S608
    box.populate(NAME)
    box.ok("account", "rollover")
    (box.state_dir / "seal.key").unlink()
    box.ok("adopt", "--all", "--yes")
    box.run("key", "rollover", "--lost")
    his.ok("remove", NAME, "--yes")
    put_his(box, seal_of_his(backup))
    counts = "not sealed" not in box.run("status").out
    counts |= Statements(box.state_dir).key().statement(said) is not None
    thief.tries("any of this, once all three keys were changed", got=counts or gets(his, NAME))
    thief.is_told()
