"""A thief who writes rows into the journal of answers: he chooses no record and no file that we write or delete."""

import socket
from pathlib import Path

from tests.issuer.box import Box
from tests.issuer.test_left_overs import DIGEST, leave
from tests.servers.lab import Lab
from tests.trust.conftest import NAME
from tests.trust.thief import Thief

ZONE, HIS = "lab.test", "thief.test"


def test_the_journal_in_the_database(box: Box, lab: Lab, tmp_path: Path) -> None:
    """The key may write every TXT record of a zone, and the thief has an alias of his own that leads into it."""
    thief = Thief("The journal in the database")
    owners = [ZONE, f"www.{ZONE}", f"_acme-challenge.www.{ZONE}"]
    texts = [f'@ TXT "{DIGEST}"', '@ TXT "v=spf1 -all"', f'www TXT "{DIGEST}"', f'_acme-challenge.www TXT "{DIGEST}"']
    lab.bind.dynamic_zone(ZONE, "acme", owners, records=texts)
    lab.bind.static_zone(HIS, [f"_acme-challenge CNAME {ZONE}."])
    lab.bind.reconfigure()
    file = tmp_path / "html" / ".well-known" / "acme-challenge" / "token"
    file.parent.mkdir(parents=True)
    file.write_text(f"token.{DIGEST}")

    leave(box, f"www.{ZONE}", ZONE, DIGEST)
    leave(box, ZONE, ZONE, "v=spf1 -all")
    leave(box, ZONE, ZONE, "v=spf1 -all", name=HIS)
    leave(box, NAME, f"{socket.gethostname()}:{file.parents[2]}", file.read_text(), kind="http-01")
    leave(box, f"_acme-challenge.www.{ZONE}", ZONE, DIGEST)
    told = box.ok("run").err

    thief.tries("the end of a TXT record where no challenge goes", got=not lab.bind.txt(f"www.{ZONE}"))
    gone = lab.bind.txt(ZONE) != {DIGEST, "v=spf1 -all"}
    thief.tries("the end of a TXT record to which an alias of his leads", got=gone)
    thief.tries("the end of a file of a web site", got=not file.exists())
    taken = not lab.bind.txt(f"_acme-challenge.www.{ZONE}")
    thief.tries("the end of a TXT record of a challenge, before the CA has seen it", got=taken)
    assert told.count("challenge.left") == 2 * 4  # at the beginning and at the end of a run
    thief.is_told()


def test_an_answer_at_the_end_of_an_alias_is_taken_back(box: Box, lab: Lab) -> None:
    """What a dead process left where an alias leads to is withdrawn. Once the alias leads elsewhere, it is told with
    what to do, and forgotten when nothing is left there."""
    texts = [f'www TXT "{DIGEST}"', f'old TXT "{DIGEST}"', "_acme-challenge.shop CNAME www"]
    lab.bind.dynamic_zone(ZONE, "acme", [f"www.{ZONE}", f"old.{ZONE}"], records=texts)
    lab.bind.reconfigure()
    leave(box, f"www.{ZONE}", ZONE, DIGEST, name=f"shop.{ZONE}")
    leave(box, f"old.{ZONE}", ZONE, DIGEST, name=f"shop.{ZONE}")
    leave(box, f"gone.{ZONE}", ZONE, DIGEST, name=f"shop.{ZONE}")
    told = box.ok("run").err
    assert lab.bind.txt(f"www.{ZONE}") == set()
    assert lab.bind.txt(f"old.{ZONE}") == {DIGEST}
    assert "not ours" in told
    assert box.database.query("SELECT owner FROM challenges") == [(f"old.{ZONE}",)]


def test_many_answers_that_nobody_of_ours_published(box: Box, lab: Lab) -> None:
    """Twenty are told one by one, and the number of the others; no line names more than twenty."""
    owners = [f"www{number}.{ZONE}" for number in range(30)]
    texts = [f'www{number} TXT "{DIGEST}"' for number in range(30)]
    lab.bind.dynamic_zone(ZONE, "acme", owners, records=texts)
    lab.bind.reconfigure()
    for owner in owners:
        leave(box, owner, ZONE, DIGEST)
    told = [line for line in box.run("run").err.splitlines() if "challenge.left" in line]
    assert len(told) == 2 * (20 + 1)
    assert '"more": 10' in told[-1]
    assert max(line.count(f".{ZONE}") for line in told) < 25
