"""A thief in the database makes the issuer order again and again, and takes away what counts the orders."""

import time

from issuer.model.limits import OFTEN
from issuer.trust.memory import MEMORY, Memory
from tests.issuer.box import Box
from tests.trust.conftest import NAME, OTHER
from tests.trust.thief import Thief

WISH = "reissue_reason = 'x'"
AFRESH = "due_at = NULL, count_fail_update = 0"
PAST = "ts_expire = 1"
WINDOW = "ari_at = 1, ari_start = 1, ari_end = 2, ari_ask_at = 4000000000"

PLANNED = "state = 'PLANNED', active_name = name, url = NULL, lease_owner = NULL, lease_until = NULL"
COPIES = (
    "CREATE TRIGGER copies AFTER INSERT ON orders FOR EACH ROW BEGIN INSERT INTO loot VALUES (NEW.id, NEW.seal); END"
)


def test_a_thief_who_uses_up_the_limits_of_a_ca(box: Box) -> None:
    """What he asks for is ordered, as often as the CA allows for these names; then it is held, and told."""
    thief, serials = Thief("The database, to use up the limits of a CA"), {box.serial(NAME)}
    what = "more than 60 orders for a name within an hour, or 5 at Let's Encrypt, by failures that he deletes"
    thief.tries(what, got=_ordered_again_and_again(box))
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


def _ordered_again_and_again(box: Box) -> bool:
    """Is OTHER ordered more often than 60 times within an hour? 58 times it was already, as far as our memory goes, and
    once in truth."""
    box.database.execute("CREATE TABLE loot (id INTEGER, seal VARCHAR(80))")
    box.database.execute(COPIES)
    memory, now, before = Memory(box.state_dir / MEMORY), int(time.time()), len(box.orders(OTHER))
    for ago in range(58):
        memory.remember_ordered(OTHER, now - 60 - ago)
    for _ in range(3):
        box.database.execute(f"UPDATE certs SET {WISH}, {AFRESH} WHERE name = '{OTHER}'")  # noqa: S608
        last = box.run("run", OTHER)
    assert "held by certfleet itself" in last.out, last.out + last.err
    assert OFTEN.what in last.err, last.err
    held = len(box.orders(OTHER)) - before
    stored = box.serial(OTHER)
    [(number, seal)] = box.database.query("SELECT max(id), seal FROM loot")
    box.database.execute(f"UPDATE orders SET {PLANNED}, deadline = {now + 3600}, seal = '{seal}' WHERE id = {number}")  # noqa: S608
    box.database.execute(f"UPDATE certs SET {AFRESH} WHERE name = '{OTHER}'")  # noqa: S608
    last = box.run("run", OTHER)
    assert OFTEN.what in last.err, last.out + last.err
    held += box.serial(OTHER) != stored
    box.database.execute(f"DELETE FROM orders WHERE id = {number}")  # noqa: S608
    box.ok("issue", OTHER, "--lift-hold")
    return held > 1
