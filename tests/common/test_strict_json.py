"""Numbers that JSON does not have, and certificates that no CA may make: sentences, not faults."""

import datetime
import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from agent.host.state_folder import DamagedError, StateFolder
from agent.model.offer import Mark
from agent.model.result import Installed, Outcome, Refusal, Result
from agent.rules.evidence import Sight
from agent.rules.install_states import InstallState
from agent.rules.journal import JournalEntry, Part, SavedFile
from common.certificate import parse_bundle
from common.clock import utc_text
from common.dataclasses import dataclass, field
from common.probe.view import Seen
from common.strict_json import document_of, made, parse_json
from issuer.model.events import EventKind, from_json
from issuer.model.failure import Failure
from issuer.model.leaf import Damaged, leaf_of
from issuer.store.failures import of_text

MARK = Mark(1, 2)
RESULT = Result(
    "a.b",
    Outcome.REFUSED,
    installed=Installed("f" * 64, "01", 5, MARK, {"/x": "y"}, "as ever"),
    refusal=Refusal(Outcome.REFUSED, "why", "f" * 64, MARK, "as ever", 1, 77),
)
ODD = ("Infinity", "-Infinity", "NaN", "1e400", "1" * 30, "[" * 100_000, '"text"', "null", "1.5", "{}")


@pytest.mark.parametrize("text", ["Infinity", "[-Infinity]", "NaN", "1e400", "1" * 5000, "[" * 100_000, "{", ""])
def test_what_is_no_json(text: str) -> None:
    """Each is a ValueError; what JSON has is taken."""
    with pytest.raises(ValueError, match=r".{5}"):
        parse_json(text)
    assert parse_json('{"a": [1, 1.5, -9223372036854775808, true, null]}') == {"a": [1, 1.5, -(2**63), True, None]}


WRONG = [
    ("what", None),
    ("what", 1),
    ("files", "f"),
    ("files", {}),
    ("files", [1]),
    ("marks", []),
    ("marks", {"a": 1}),
    ("mark", []),
    ("mark", {"updated": "1", "expires": 2}),
    ("mark", {"updated": 1}),
    ("state", "no such"),
    ("content", 1),
    ("content", "\u0100"),
]


@dataclass(frozen=True, slots=True)
class Whole:
    """A value with a field of each kind."""

    what: str
    files: tuple[Path, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    mark: Mark | None = None
    state: Outcome = Outcome.FAILED
    content: bytes = b""


WHOLE = Whole("w", (Path("/f"),), {"a": Mark(3, 4)}, Mark(1, 2), Outcome.BROKEN, b"\0\xff")


def test_a_value_comes_back_as_it_was() -> None:
    """Through JSON; also one that an earlier version wrote, without some fields, or a later one, with more."""
    document = json.loads(json.dumps(document_of(WHOLE)))
    assert repr(made(Whole, document)) == repr(WHOLE)
    assert made(Whole, {"what": "w", "new": 1, "mark": {"updated": 1, "expires": 2, "new": 1}}) == Whole(
        "w", mark=Mark(1, 2)
    )


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_value_of_another_kind(name: str, value: object) -> None:
    """Nothing is made of it, wherever it stands."""
    with pytest.raises((TypeError, ValueError)):
        made(Whole, document_of(WHOLE) | {name: value})


@pytest.mark.sampled
@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize("part", ["until", "attempts", "not_after", "updated", "changed_at"])
def test_a_number_in_a_record(tmp_path: Path, part: str, value: str) -> None:
    """A record with it is damaged, and made anew; or it is a whole number after all."""
    state = StateFolder(tmp_path / "state")
    state.create()
    state.save_record(RESULT)
    (file,) = (tmp_path / "state" / "records").iterdir()
    lines = file.read_text().splitlines()
    number = next(place for place, line in enumerate(lines) if f'"{part}"' in line)
    lines[number] = f'"{part}": {value}' + ("," if lines[number].endswith(",") else "")
    file.write_text("\n".join(lines))
    found = state.record("a.b")
    assert found == Result("a.b") or (part, value, found.since) == ("changed_at", "1.5", 1)


@pytest.mark.parametrize("value", ["Infinity", "1.5", '"text"', "[" * 100_000])
def test_a_number_in_a_journal(tmp_path: Path, value: str) -> None:
    """A person has to look: the journal is damaged, with its file and a hint."""
    state = StateFolder(tmp_path / "state")
    state.create()
    saved = SavedFile(Path("/x"), "d", "b", "o", 0o644, 7, 8)
    state.save_journal(
        JournalEntry("a.b", InstallState.SWAPPING, (Part("a.b", "f", (saved,), (Sight("t", "a", Seen.DOWN),)),))
    )
    (file,) = (tmp_path / "state" / "journal").iterdir()
    file.write_text(file.read_text().replace('"uid": 7', f'"uid": {value}'))
    with pytest.raises(DamagedError, match="it is damaged"):
        state.journals()


@pytest.mark.parametrize("value", ["Infinity", "1.5", "[" * 100_000, "null"])
def test_what_the_database_says_of_failures_and_events(value: str) -> None:
    """A failure that is none is told as it stands; an event that is none is left out by its reader."""
    text = json.dumps({"what": "w"}).replace('"w"', value)
    assert of_text(text) == Failure(text)
    event = {"kind": EventKind.FAILED.value, "name": "a.b", "what": "w", "at": 7}
    with pytest.raises((ValueError, TypeError)):
        from_json(parse_json(json.dumps(event).replace("7", value)))


@pytest.mark.parametrize("moment", [-math.inf, -1, 0, 2**70, 1e300, math.inf])
def test_every_moment_can_be_shown(moment: float) -> None:
    """A moment outside of what a calendar has is the nearest that it has."""
    assert utc_text(moment) in ("1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z")


@pytest.mark.filterwarnings("ignore:Parsed a (negative )?serial number")  # main() turns it off for our commands
def test_a_leaf_with_a_negative_serial() -> None:
    """It is refused by both sides, with that reason."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.b")])
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 0x017FFF).not_valid_before(begin)
    made = builder.not_valid_after(begin + datetime.timedelta(90)).sign(key, hashes.SHA256())
    der = made.public_bytes(Encoding.DER).replace(b"\x02\x03\x01\x7f\xff", b"\x02\x03\x81\x7f\xff")
    with pytest.raises(ValueError, match=r"its serial number is negative|cannot be parsed"):
        parse_bundle(der)
    assert isinstance(leaf_of(der), Damaged)
