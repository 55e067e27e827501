"""Does a row hold what was enrolled? A table over what others may write into it."""

import dataclasses
from typing import Any

import pytest

from issuer.model.enrolment import Change, Enrolment, Validation
from issuer.model.failure import Failure
from issuer.model.seal import Sealed
from issuer.model.seal_faults import Fault
from issuer.rules.change import newest
from issuer.rules.seal import faults
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority

NAME, OTHER = "www.example.test", "shop.example.test"
NUMBER = 1_800_000_000
CSR, CHANGED = csr([NAME, OTHER]), csr([NAME], number=1)
WAYS = Validation(True, "/var/www", ((OTHER, "dns-01"), (NAME, "/srv/www")))
ROW = Enrolment(NAME, True, WAYS, CSR, b"", b"", 1, 1, 0, None, "", change=Change(CHANGED, 0, validation=WAYS))
SEALED = Sealed.of(ROW, NUMBER)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"csr": b"a comment of a sysadmin\n" + CSR},
        {"validation": dataclasses.replace(WAYS, exceptions=tuple(reversed(WAYS.exceptions)))},
        {"enabled": False, "ts_expire": 9, "due_at": 7, "failures": 3, "failure": Failure("it failed")},
        {"reissue_reason": "by hand", "crt": b"x", "ca": b"y", "revoked": True, "change": None},
    ],
    ids=["as it was", "text around the CSR", "exceptions in another order", "moments", "another certificate"],
)
def test_what_may_differ(more: dict[str, Any]) -> None:
    """A seal covers what an operator enrolled, and nothing that the issuer or an old script writes."""
    assert faults(dataclasses.replace(ROW, **more), SEALED, NUMBER) == []


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"name": OTHER}, [Fault.OTHER_ROW]),
        ({"csr": csr([NAME, OTHER], number=1)}, [Fault.KEY]),
        ({"csr": csr([NAME])}, [Fault.NAMES]),
        ({"csr": csr([NAME, OTHER, "third.example.test"])}, [Fault.NAMES]),
        ({"csr": csr(["third.example.test"], number=1)}, [Fault.KEY, Fault.NAMES]),
        ({"csr": b""}, [Fault.KEY, Fault.NAMES]),
        ({"csr": b"garbage"}, [Fault.KEY, Fault.NAMES]),
        ({"validation": Validation()}, [Fault.VALIDATION]),
        ({"validation": dataclasses.replace(WAYS, certbot=False)}, [Fault.VALIDATION]),
        ({"validation": dataclasses.replace(WAYS, webroot_path="/var/www2")}, [Fault.VALIDATION]),
        ({"validation": dataclasses.replace(WAYS, way="http-01")}, [Fault.VALIDATION]),
        ({"validation": dataclasses.replace(WAYS, exceptions=WAYS.exceptions[:1])}, [Fault.VALIDATION]),
        ({"imported": True}, [Fault.IMPORTED]),
        (
            {"imported": True, "csr": b"", "validation": Validation()},
            [Fault.KEY, Fault.NAMES, Fault.VALIDATION, Fault.IMPORTED],
        ),
    ],
    ids=lambda value: None if isinstance(value, dict) else "+".join(fault.name for fault in value),
)
def test_what_may_not(more: dict[str, Any], found: list[Fault]) -> None:
    """Each is told by itself, so that a person knows where to look."""
    assert faults(dataclasses.replace(ROW, **more), SEALED, NUMBER) == found


def test_an_earlier_seal() -> None:
    """Whatever it covers; one that is newer than all that were seen is another issuer's."""
    assert faults(ROW, SEALED, NUMBER + 1) == [Fault.OLD]
    assert faults(ROW, SEALED, NUMBER - 1) == []


def test_a_change_has_a_seal_of_its_own() -> None:
    """The seal of the row does not fit it, nor that of the change the row; of an imported row the change is to be
    issued."""
    changing = newest(ROW)
    assert faults(changing, Sealed.of(changing, NUMBER), NUMBER) == []
    assert faults(changing, SEALED, NUMBER) == faults(ROW, Sealed.of(changing, NUMBER), NUMBER)
    assert faults(changing, SEALED, NUMBER) == [Fault.KEY, Fault.NAMES]
    imported = dataclasses.replace(ROW, imported=True)
    assert faults(newest(imported), Sealed.of(changing, NUMBER), NUMBER) == []


def test_the_moment_of_a_takeover() -> None:
    """It is that of the certificate's own end. A row that took over keeps the seal of its change."""
    bought = Authority("Company CA").issue([NAME], days=9)
    waits = Change(CSR, 0, validation=Validation(), takeover=86400)
    row = dataclasses.replace(ROW, csr=b"", crt=bought.cert_pem, imported=True, change=waits, validation=Validation())
    sealed = Sealed.of(newest(row), NUMBER)
    assert sealed.takeover == row.own_end - 86400
    assert Sealed.of_text(sealed.text) == sealed
    assert faults(newest(dataclasses.replace(row, ts_expire=2)), sealed, NUMBER) == []
    for more in (
        {"change": dataclasses.replace(waits, takeover=0)},
        {"change": dataclasses.replace(waits, takeover=86401)},
        {"imported": False},
        {"crt": Authority("Company CA").issue([NAME], days=8).cert_pem},
        {"crt": b"x"},
    ):
        assert faults(newest(dataclasses.replace(row, **more)), sealed, NUMBER) == [Fault.TAKEOVER]
    took_over = dataclasses.replace(row, csr=CSR, change=None, imported=False)
    assert faults(took_over, sealed, NUMBER) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "{}",
        "[]",
        "[2]",
        SEALED.text[:-1],
        SEALED.text.replace("[1,", "[2,"),
        SEALED.text.replace("false", "0"),
    ],
)
def test_a_text_that_is_none_of_ours(text: str) -> None:
    """A seal that a later version made is not taken for one of this version."""
    with pytest.raises(ValueError, match=r"understood|Expecting|delimiter"):
        Sealed.of_text(text)


def test_a_text_is_read_as_it_was_written() -> None:
    """Names and paths in any script; no two contents have one text."""
    for each in (SEALED, Sealed.enrolling("müller: rsa", b"", None, Validation(True, '/srv/"ä\n'), 1, imported=True)):
        assert Sealed.of_text(each.text) == each
        assert each.text.isascii()
        assert "\n" not in each.text
    ways = [Validation(False, "", ((NAME, "a"),), "b"), Validation(False, "", (), "b"), Validation(False, "b"), WAYS]
    assert len({Sealed.enrolling(NAME, CSR, None, way, 1).text for way in ways}) == len(ways)
