"""A thief in the database makes the issuer order again and again, and takes away what counts the orders."""

from tests.issuer.box import Box
from tests.trust.conftest import NAME
from tests.trust.thief import Thief

WISH = "reissue_reason = 'x'"
PAST = "ts_expire = 1"
WINDOW = "ari_at = 1, ari_start = 1, ari_end = 2, ari_ask_at = 4000000000"


def test_a_thief_who_uses_up_the_limits_of_a_ca(box: Box) -> None:
    """What he asks for is ordered, as often as the CA allows for these names; then it is held, and told."""
    thief, serials = Thief("The database, to use up the limits of a CA"), {box.serial(NAME)}
    box.write(acme={"limit_per_name_set": "4/7d"})
    for change in (WISH, PAST, WINDOW, WISH, WINDOW):
        for table in ("orders", "versions", "holds"):
            box.database.execute(f"DELETE FROM {table}")  # noqa: S608
        box.database.execute(f"UPDATE certs SET {change}, due_at = NULL WHERE name = '{NAME}'")  # noqa: S608
        last = box.run("run")
        serials.add(box.serial(NAME))
    what = "certificates that nobody needs, by a wish, a moment in the past, a window of the CA"
    thief.tries(what, got=len(serials) >= 4)
    what = "more of them for a name than the CA's limit, by orders and versions that he deletes"
    thief.tries(what, got=len(serials) > 4)
    assert "paced inside the CA's published limits" in last.out + last.err
    assert "paced inside the CA's published limits" in box.run("status", NAME).out
    thief.is_told()
