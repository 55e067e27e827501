"""A thief in the database, and a bought certificate from which our CA is to take over."""

import time

from issuer.trust.looks import LOOKS, LooksFile
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority, Issued
from tests.trust.siege import octets
from tests.trust.thief import Thief

BOUGHT = "bought.example.test"
AT_ONCE = "change_due_at = 0, due_at = NULL"
MOMENT = "another moment than was enrolled"
DAY = 86400


class Deal:
    """A bought certificate with a hundred days of life. Our CA is to take over for its last three."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.request = csr([BOUGHT])
        self.company = Authority("Company CA").intermediate("Issuing")
        assert box.bind is not None
        box.add_zone(BOUGHT)
        box.bind.reconfigure()
        box.put_csr(BOUGHT, self.request)
        self.bring(100, "--takeover-at", "3d")
        box.ok("enable", BOUGHT)

    def bring(self, days: float, *more: str) -> Issued:
        """Import a certificate that ends in *days*."""
        issued, file = self.company.sign(self.request, days=days), self.box.folder / "bought.pem"
        file.write_bytes(issued.fullchain_pem)
        self.box.ok("import", BOUGHT, "--crt", str(file), *more)
        return issued

    def set(self, values: str) -> None:
        self.box.database.execute(f"UPDATE certs SET {values} WHERE name = '{BOUGHT}'")  # noqa: S608

    def chosen(self, values: str, *, says: str = "") -> bool:
        """Is it ordered when he writes *values*? If not, the run *says* so, and is well again without them."""
        sql = self.box.database.execute
        sql("DROP TABLE IF EXISTS kept")
        sql("CREATE TABLE kept AS SELECT * FROM certs")
        self.set(values)
        run = self.box.fails("run", says=[says]) if says else self.box.ok("run")
        assert not says or BOUGHT in run.err
        sql("DELETE FROM certs")
        sql("INSERT INTO certs SELECT * FROM kept")
        self.box.ok("run")
        return bool(self.box.orders(BOUGHT))


def test_a_bought_certificate_that_is_to_be_taken_over(box: Box) -> None:
    """The seal covers the moment; a newer certificate moves it, and a row that took over is sealed."""
    thief, deal = Thief("The database, and a bought certificate to be taken over"), Deal(box)
    got = deal.chosen(f"takeover = NULL, {AT_ONCE}", says=MOMENT)
    got |= deal.chosen(f"takeover = {99 * DAY}, {AT_ONCE}", says=MOMENT)
    got |= deal.chosen(f"imported = NULL, {AT_ONCE}", says=MOMENT)
    thief.tries("that our CA takes over at once, by the columns of the takeover", got=got)
    old = deal.company.sign(deal.request, days=2)
    got = deal.chosen(f"crt = {octets(old.cert_pem)}, statement = NULL, {AT_ONCE}", says=MOMENT)
    got |= deal.chosen(f"ts_expire = {int(time.time()) + DAY}, {AT_ONCE}")
    thief.tries("the same by another certificate in the row, or by its end in the table", got=got)
    thief.tries("that it takes over too late, unheard", got=deal.chosen("takeover = 1", says=MOMENT))

    deal.bring(50)
    deal.set("change_due_at = 9999999999, due_at = 9999999999")
    box.ok("run")
    assert box.orders(BOUGHT) == []
    deal.bring(2)
    deal.set("change_due_at = 9999999999, due_at = 9999999999")
    LooksFile(box.state_dir / LOOKS).plan(BOUGHT, int(time.time()))  # it is there a day after the last look
    box.ok("run")
    thief.tries("that it never takes over, by a moment far ahead", got=box.orders(BOUGHT) == [])
    assert box.row(BOUGHT, "imported", "takeover", "change_csr") == (None, None, None)
    box.ok("status")
    box.ok("issue", BOUGHT)
    thief.is_told()
