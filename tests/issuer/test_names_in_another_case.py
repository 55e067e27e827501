"""MySQL and MariaDB find a row by its name in any case; what is signed and remembered is for the name of the row."""

from pathlib import Path

import pytest

from issuer.trust.memory import MEMORY, Memory
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority
from tests.servers.sql_server import SqlServer

NAME = "www.lab.test"
CA = Authority("Root").intermediate("CA")


def test_an_import_into_a_row_of_an_old_script(sql_server: SqlServer, tmp_path: Path) -> None:
    """`import` makes its name small; the row may have it otherwise."""
    box, file = Box(tmp_path / "box", sql_server.create_database()), tmp_path / "bought.pem"
    box.set_up()
    for number in range(2):
        file.write_bytes(CA.sign(csr([NAME])).fullchain_pem)
        box.ok("import", NAME, "--crt", str(file))
        if not number:
            box.database.execute("UPDATE certs SET name = 'WWW.lab.test'")
            box.ok("adopt", "WWW.lab.test", "--yes")
    [found] = [one for one in box.run("status", "--json").report()["certificates"] if one["name"] == "WWW.lab.test"]
    assert (found["not_signed"], found["not_sealed"]) == (False, [])


@pytest.mark.soak
def test_a_revocation_typed_in_another_case(server_box: Box) -> None:
    """It is remembered for the row, so that `rollback` never goes back to it."""
    server_box.enrol(NAME)
    server_box.ok("run")
    server_box.ok("revoke", NAME.upper(), "--yes")
    assert Memory(server_box.state_dir / MEMORY).past(NAME).revoked
