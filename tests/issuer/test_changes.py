"""Another key or other names for a certificate that is served, with real servers: from `populate --replace` on."""

import time
from pathlib import Path
from typing import Any

import pytest

from common.certificate import certified_names, parse_bundle, spki_sha256
from common.config_file import load
from issuer.model.config import Settings
from issuer.model.csr import md5_modulus
from issuer.model.events import EventKind
from issuer.rules.csr import read_csr
from issuer.store.notices import Notices
from issuer.store.revision import open_database
from tests.issuer.acme.test_staged import nsupdate
from tests.issuer.box import Box
from tests.issuer.crash.killer import killed_run
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAME, ADDED, LATER = "www.lab.test", "added.lab.test", "later.lab.test"
NEW = csr([NAME, ADDED], "ecdsa-p384")


@pytest.fixture
def served(box: Box) -> Box:
    """A box with a certificate for NAME."""
    box.enrol(NAME)
    box.ok("run")
    return box


def replace(box: Box, content: bytes, *more: str) -> str:
    return box.ok("populate", "--replace", NAME, "--csr", "-", *more, stdin=content).out


def serve(box: Box, *names: str) -> None:
    """Their sub-zones."""
    assert box.bind is not None
    box.add_zone(*names)
    box.bind.reconfigure()


def present(box: Box) -> tuple[frozenset[str], str]:
    """Names and key of the present certificate; CSR and md5_modulus of its row are of that key."""
    crt, request, modulus = box.row(NAME, "crt", "csr", "md5_modulus")
    leaf = parse_bundle(bytes(crt)).leaf
    key = spki_sha256(leaf.public_key())
    assert read_csr(bytes(request)).spki_sha256 == key
    assert str(modulus).strip() == md5_modulus(leaf.public_key())
    return certified_names(leaf), key


def change_of(box: Box) -> dict[str, Any]:
    [fact] = box.run("status", NAME, "--json").report()["certificates"]
    change: dict[str, Any] = fact["change"]
    return change


def test_the_present_one_stays_until_the_zone_of_a_new_name_is_there(served: Box) -> None:
    """It is renewed for its own CSR meanwhile; `status` and `history` say what waits, and why."""
    before = present(served)
    said = replace(served, NEW)
    assert f"adds {ADDED}, has another key" in said
    assert "the host goes on with its present key" in said
    served.fails("run", says=[f"{NAME}: failed", ADDED])
    assert present(served) == before
    told = served.fails("status", says=[f"{NAME}: a change waits", "change failing"])
    assert f"adds {ADDED}" in told.out
    assert (change_of(served)["failures"], change_of(served)["added"]) == (1, [ADDED])
    served.fails("status", NAME, says=["new names", "waits for a certificate", "1 in a row"])
    assert served.ok("history", NAME, "--json").report()["change"]["dropped"] == []
    served.put_aged(NAME, days=90, left=20)
    served.forget_validations()
    served.database.execute("UPDATE certs SET change_due_at = change_due_at + 7200")
    served.fails("run", says=["the present certificate was renewed"])
    assert served.row(NAME, "count_fail_update", "change_failures") == (0, 1)
    serve(served, ADDED)
    served.ok("run", "--retry")
    assert present(served) == (frozenset([NAME, ADDED]), read_csr(NEW).spki_sha256)
    assert served.row(NAME, "change_csr", "change_due_at", "change_failures") == (None, None, None)
    assert served.database.query("SELECT COUNT(*) FROM events WHERE event = 'changed'") == [(1,)]
    assert "nothing is due" in served.ok("run").out


@pytest.mark.soak
def test_append_takes_the_same_key_with_more_names_alone(served: Box) -> None:
    """It counts against the newest CSR, so that nothing gets lost on the way."""
    append = ("populate", "--append", NAME, "--csr", "-")
    served.refused(*append, code=1, says=["its key is another one"], stdin=NEW)
    served.ok(*append, stdin=csr([NAME, ADDED]))
    served.refused(*append, code=1, says=[f"it lacks {ADDED}"], stdin=csr([NAME, LATER]))
    served.ok(*append, stdin=csr([NAME, ADDED, LATER]))
    serve(served, ADDED, LATER)
    served.ok("issue", NAME)
    assert present(served)[0] == {NAME, ADDED, LATER}


def test_the_same_csr_changes_nothing_and_drops_what_waits(served: Box) -> None:
    """Twice: the second time there is nothing to drop."""
    replace(served, NEW)
    assert "is dropped" in replace(served, csr([NAME]))
    contents = served.contents()
    assert "already" in replace(served, csr([NAME]))
    assert served.contents() == contents
    assert "nothing is due" in served.ok("run").out


@pytest.mark.soak
def test_the_later_one_wins(served: Box) -> None:
    """And what the earlier one had published is taken back."""
    replace(served, NEW)
    serve(served, ADDED, LATER)
    assert killed_run(served, "issuer.dns.zones:Zones.unseen", "before", 1) != 0
    assert served.txt(ADDED)
    replace(served, csr([NAME, LATER]))
    served.ok("run")
    assert present(served)[0] == {NAME, LATER}
    assert [state for state, _ in served.orders()] == ["STORED", "FAILED", "STORED"]
    assert served.txt(ADDED) == set()


def test_before_the_first_certificate_nothing_waits(box: Box) -> None:
    """The new CSR is that of the row at once, and what failed before is forgotten."""
    box.populate(NAME)
    box.fails("run", says=["failed"])
    serve(box, NAME, ADDED)
    assert "there is no certificate" in replace(box, NEW)
    assert box.row(NAME, "change_csr", "count_fail_update", "last_error") == (None, 0, None)
    box.ok("run")
    assert present(box)[0] == {NAME, ADDED}


@pytest.mark.soak
def test_rollback_says_which_names_the_earlier_one_lacks(served: Box) -> None:
    """So do `status` and `check`: nothing is broken, but a host that wants the name gets a certificate without it."""
    serve(served, ADDED)
    replace(served, csr([NAME, ADDED]))
    served.ok("run")
    sentence = f"the present certificate does not carry {ADDED}, which its CSR has"
    assert sentence in served.ok("rollback", NAME).out
    assert sentence in served.ok("status").out
    assert ADDED in served.ok("status", NAME).out.split("lacking")[1].splitlines()[0]
    assert sentence in served.ok("history", NAME).out


def test_a_key_that_was_changed_is_no_way_back(served: Box) -> None:
    """The host has the new one; the refusal says how to go back all the same."""
    replace(served, csr([NAME], "ecdsa-p384"))
    served.ok("run")
    served.refused("rollback", NAME, code=1, says=["is not the key of the present CSR", "--replace"])


@pytest.mark.soak
def test_by_hand(served: Box) -> None:
    """The steps are for the CSR that waits."""
    serve(served, ADDED)
    replace(served, NEW)
    served.forget_validations()
    said = served.ok("challenges", NAME, "--json").report()
    assert {each["identifier"] for each in said} == {NAME, ADDED}
    for each in said:
        nsupdate(served, f'update add {each["owner"]}. 1 TXT "{each["value"]}"')
    served.ok("solve", NAME)
    served.ok("request", NAME)
    assert present(served)[0] == {NAME, ADDED}


@pytest.mark.soak
def test_a_compromised_key_with_a_change_stays_enabled(served: Box) -> None:
    """The change is the remedy, and is issued next."""
    serve(served, ADDED)
    replace(served, NEW)
    assert "the CSR that waits" in served.ok("revoke", NAME, "--reason", "1", "--yes").out
    assert served.row(NAME, "enable") == ("Y",)
    served.ok("run")
    assert present(served)[1] == read_csr(NEW).spki_sha256


def test_from_an_imported_certificate_to_acme(box: Box, tmp_path: Path) -> None:
    """It is served until the first one by ACME is stored."""
    file = tmp_path / "bought.pem"
    file.write_bytes(Authority("CA").intermediate("I").issue([NAME]).fullchain_pem)
    box.ok("import", NAME, "--crt", str(file))
    box.refused("issue", NAME, code=1, says=["--replace"])
    replace(box, NEW)
    box.fails("run", says=["failed"])
    assert box.row(NAME, "imported", "csr") == ("Y", None)
    serve(box, NAME, ADDED)
    box.ok("issue", NAME)
    assert present(box)[0] == {NAME, ADDED}
    assert box.row(NAME, "imported") == (None,)


def test_what_does_not_go_together(lone_box: Box) -> None:
    """A name that is not enrolled, another name's CSR, settings of a new row."""
    lone_box.refused("populate", "--replace", NAME, "--csr", "-", code=2, says=["not enrolled"], stdin=NEW)
    lone_box.populate(NAME)
    words = ("populate", "--replace", NAME, "--csr", "-")
    lone_box.refused(*words, code=1, says=[f"is not for {NAME}"], stdin=csr([ADDED]))
    lone_box.refused(*words, "--webroot", "/var/www", code=2, says=["--webroot"], stdin=NEW)
    lone_box.ok(*words, "--label", stdin=csr([ADDED]))
    assert lone_box.run(*words, "--append", stdin=NEW).code == 2


def test_a_new_name_may_be_validated_in_its_own_way(lone_box: Box) -> None:
    """--by adds to the ways of the row; the way of a name that keeps its own is not touched."""
    lone_box.ok("populate", NAME, "--csr", "-", "--by", f"{NAME}=/var/www", stdin=csr([NAME]))
    replace(lone_box, csr([NAME, ADDED]), "--by", f"{ADDED}=/srv/added")
    assert lone_box.row(NAME, "validations") == (f"{NAME} /var/www\n{ADDED} /srv/added",)


@pytest.mark.soak
def test_ways_of_a_change_that_nobody_enrolled(served: Box) -> None:
    """They are sealed with its CSR: nothing is ordered by another program's, and no later CSR takes them over."""
    replace(served, NEW)
    served.database.execute("UPDATE certs SET change_validations = '* /srv/of-a-thief'")
    said = served.fails("run", says=["its row wants its names validated in another way than was enrolled"])
    assert "of-a-thief" not in said.err
    assert [state for state, _ in served.orders()] == ["STORED"]
    serve(served, LATER)
    assert "of-a-thief" not in replace(served, csr([NAME, LATER]))
    served.ok("run")
    assert present(served)[0] == {NAME, LATER}


def test_no_remedy_is_offered_that_does_not_help(lone_box: Box) -> None:
    """Another CSR mends one that somebody has changed, and covers no way that somebody has changed."""
    lone_box.populate(NAME)
    words = ("populate", "--replace", NAME, "--csr", "-")
    lone_box.database.execute("UPDATE certs SET validations = '* /srv/of-a-thief'")
    said = lone_box.refused(*words, code=1, says=["in another way than was enrolled", f"adopt {NAME}"], stdin=NEW).err
    assert "populate" not in said
    lone_box.database.execute("UPDATE certs SET validations = NULL")
    lone_box.ok(*words, stdin=NEW)


def test_remove_offers_the_way_without_a_gap(lone_box: Box) -> None:
    """It does not tell people to delete a zone that the same names need again."""
    lone_box.populate(NAME)
    said = lone_box.ok("remove", NAME, "--yes").out
    assert "only if nobody enrols these names again" in said


@pytest.mark.sampled
@pytest.mark.parametrize(
    ("step", "when"),  # what comes before one of these calls is what comes after the one above it
    [
        ("take_change", "before"),
        ("take_change", "after"),
        ("replace_present", "after"),
        ("add_version", "after"),
        ("add_event", "after"),
    ],
)
def test_killed_while_it_is_stored(served: Box, step: str, when: str) -> None:
    """CSR, key identifier and certificate change together or not at all; the next run finishes the same order."""
    before = present(served)
    serve(served, ADDED)
    replace(served, NEW)
    assert killed_run(served, f"issuer.store.certificates:{step}", when, 1) != 0
    assert present(served) == before
    served.ok("run")
    assert present(served) == (frozenset([NAME, ADDED]), read_csr(NEW).spki_sha256)
    assert [state for state, _ in served.orders()] == ["STORED", "STORED"]


def test_an_alarm_of_a_change_outlives_a_renewal(served: Box) -> None:
    """It has not recovered as long as the change fails; another CSR ends the alarm, so that its failure is news."""
    database = open_database(load(Settings, served.config).database)
    now = int(time.time())

    def news() -> list[EventKind]:
        told = Notices(database, stuck_after=9, by_mail=False).settle([], now, others=True)
        return [event.kind for event in told]

    alarm = f"INSERT INTO alarms (name, kind, since) VALUES ('{NAME}', 'failed', 1)"  # noqa: S608
    replace(served, NEW)
    served.database.execute(alarm)
    served.database.execute("UPDATE certs SET change_failures = 1")
    assert news() == []
    served.database.execute("UPDATE certs SET change_failures = 0")
    assert news() == [EventKind.RECOVERED]
    served.database.execute(alarm)
    replace(served, csr([NAME, LATER]))
    assert served.database.query("SELECT * FROM alarms") == []
    database.close()
