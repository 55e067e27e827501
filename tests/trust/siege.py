"""A central box with two certificates, and a thief in its database who may write every table."""

import time
from collections.abc import Callable
from pathlib import Path

from issuer.trust.looks import LOOKS, LooksFile
from tests.issuer.box import Box
from tests.servers.smtp import Smtp

NAME, OTHER = "www.example.test", "shop.example.test"
NOW = {"reissue_reason": "'x'", "due_at": "NULL"}  # as `reissue` leaves a row


class Siege:
    """A box with two certificates, and a thief in its database. The table `kept` holds the rows before he came."""

    def __init__(self, box: Box, smtp: Smtp, root: Path) -> None:
        self.box = box
        self.smtp = smtp
        self.root = root  # of a web server, where the thief wants files
        self.keep()

    def sql(self, statement: str) -> None:
        self.box.database.execute(statement)

    def keep(self, table: str = "kept") -> None:
        """Remember the rows as they are."""
        self.sql(f"DROP TABLE IF EXISTS {table}")
        self.sql(f"CREATE TABLE {table} AS SELECT * FROM certs")  # noqa: S608

    def put_back(self, table: str = "kept", **values: str) -> None:
        """The row of NAME as it was then but for *values*, and none of the thief's."""
        self.sql(f"DELETE FROM certs WHERE name <> '{OTHER}'")  # noqa: S608
        self.sql(f"INSERT INTO certs SELECT * FROM {table} WHERE name = '{NAME}'")  # noqa: S608
        if values:
            self.row(**values)

    def row(self, name: str = NAME, **values: str) -> None:
        """Change columns of a row; the values are SQL."""
        words = ", ".join(f"{column} = {value}" for column, value in values.items())
        self.sql(f"UPDATE certs SET {words} WHERE name = '{name}'")  # noqa: S608

    def insert(self, **values: str) -> None:
        self.sql(f"INSERT INTO certs ({', '.join(values)}) VALUES ({', '.join(values.values())})")  # noqa: S608

    def ordered(self, name: str = "") -> int:
        return len(self.box.orders(name))

    def comes(self) -> None:
        """Time passes: the moment that the issuer planned for its next look at NAME has come."""
        LooksFile(self.box.state_dir / LOOKS).plan(NAME, int(time.time()))

    def gets(self, attempt: Callable[[], object], *says: str) -> bool:
        """Does he get an order by *attempt*? If not, each run says *says*, exit code 1, and one mail; the other
        certificate is renewed all the same, and this one by itself as soon as its row is put right."""
        orders, letters, others = self.ordered(), len(self.smtp.letters), self.ordered(OTHER)
        attempt()
        self.row(OTHER, **NOW)
        for run in (self.box.run("run"), self.box.run("run")):
            assert run.code == 1, run.out + run.err
            assert all(phrase in run.err for phrase in says), run.err
        assert self.ordered(OTHER) == others + 1
        if self.ordered() > orders + 1:
            return True
        [letter] = self.smtp.letters[letters:]
        told = " ".join(letter.text.replace("> ", "").split())
        assert all(phrase in told for phrase in says), told
        assert self.box.run("status").code == 1
        self.put_back()
        self.row(**NOW)
        self.box.ok("run")
        assert self.ordered(NAME) == len(self.box.orders()) - self.ordered(OTHER)
        self.box.ok("status")
        self.keep()
        return False


def octets(content: bytes) -> str:
    """A value of SQL."""
    return f"X'{content.hex()}'"
