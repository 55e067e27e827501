"""Agents that pin the issuer's key: the database carries, and whoever writes to it installs nothing of his own."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from issuer.model.leaf import Leaf, leaf_of
from tests.agent.accounts import Agents, source_lines
from tests.agent.host import Done, Host
from tests.agent.signing_issuer import SigningIssuer
from tests.servers.authority import Authority, Issued
from tests.servers.mysql import MAKES
from tests.servers.nginx import Nginx


@pytest.fixture(params=["sqlite", *MAKES])
def issuer(request: pytest.FixtureRequest, host: Host, tmp_path: Path) -> SigningIssuer:
    """An issuer whose host has its key pinned, and a first signed certificate installed."""
    source, execute = "", None
    if request.param != "sqlite":
        agents = Agents(request.getfixturevalue(request.param).create_database(), tmp_path)
        source, execute = source_lines(agents.settings()), agents.database.execute
    made = SigningIssuer(host, tmp_path / "issuer", execute)
    host.configure(source=source, issuer_key=made.key_text)
    host.first = host.sign()
    made.offer(host.first, made.sign(host.first))
    done = host.run()
    assert done.code == 0, done.err
    assert host.fullchain.read_bytes() == host.first.fullchain_pem
    return made


def assert_kept(host: Host, done: Done, sentence: str) -> None:
    """Exit code 1, the sentence, and the file as it was."""
    assert (done.code, done.certificate["state"]) == (1, "refused"), done.err
    assert sentence in done.err
    assert "no live file was touched" in done.err
    assert host.fullchain.read_bytes() == host.first.fullchain_pem


def assert_taken(host: Host, issued: Issued) -> None:
    done = host.run()
    assert done.code == 0, done.err
    assert host.fullchain.read_bytes() == issued.fullchain_pem


Thief = Callable[[SigningIssuer, Issued], str | None]


def _by_another_key(issuer: SigningIssuer, issued: Issued) -> str:
    thief = SigningIssuer(Host(issuer.host.folder / "thief"), issuer.host.folder / "thiefs-issuer")
    return thief.sign(issued, name=issuer.host.name)


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (lambda issuer, issued: None, "there is none for this certificate"),
        (lambda issuer, issued: issuer._text, "it names another certificate"),
        (lambda issuer, issued: "nonsense", "it is not in the form"),
        (lambda issuer, issued: "a.b.c", "it is not in the form"),
        (_by_another_key, "it is not signed by the issuer's key"),
        (lambda issuer, issued: issuer.sign(issued, name="other.example.test"), "it is about other.example.test"),
    ],
    ids=["none", "that of another", "nonsense", "three parts", "another key", "another name"],
)
def test_a_thief_who_can_write_to_the_database(
    host: Host, issuer: SigningIssuer, statement: Thief, sentence: str
) -> None:
    """A chain of his own CA over the key of this host, which every other rule lets pass: the file stays. The good row
    comes back by itself, at the next plain run."""
    forged = Authority("Thief Root").intermediate("Thief").sign((host.folder / "host.csr").read_bytes(), 120)
    good = issuer._text
    issuer.offer(forged, statement(issuer, forged))
    assert_kept(host, host.run(), sentence)
    assert_kept(host, host.run(), sentence)
    issuer.offer(host.first, good)
    assert_taken(host, host.first)


def test_the_same_thief_without_a_pinned_key(host: Host, issuer: SigningIssuer) -> None:
    """Why the key is pinned: without it the database is believed as far as the chain ends in a root that the host
    trusts, and `check` says so."""
    thief = Authority("Thief Root")
    host.roots.write_bytes(host.root.pem + thief.pem)
    forged = thief.intermediate("Thief").sign((host.folder / "host.csr").read_bytes(), 120)
    issuer.offer(forged, None)
    assert host.agent("check").code == 1
    text = host.config.read_text(encoding="utf-8").replace(issuer.key_text, "")
    host.config.write_text(text, encoding="utf-8")
    checked = host.agent("check")
    assert checked.code == 0
    assert "the database is believed" in checked.out
    assert_taken(host, forged)


def test_an_earlier_row_put_back(host: Host, issuer: SigningIssuer) -> None:
    """A statement that was good once is not taken again after a newer one, also when the record of the host is all that
    knows; the newer one is."""
    earlier = issuer._text
    second = host.sign(60)
    issuer.offer(second, issuer.sign(second))
    assert_taken(host, second)
    first, host.first = host.first, second
    issuer.offer(first, earlier)
    assert_kept(host, host.run(), "it is older than one that was taken here")
    issuer.offer(second, issuer._text)
    assert_taken(host, second)


def test_a_sequence_has_one_certificate(host: Host, issuer: SigningIssuer) -> None:
    """Two issuers that signed at the same moment: the second one's is refused, and its next one taken."""
    other = host.sign()
    before, issuer._text = issuer._text, ""
    sequence = issuer.statements.key().statement(before)
    assert sequence is not None
    leaf, number = leaf_of(other.cert_pem), sequence.sequence
    assert isinstance(leaf, Leaf)
    clash = issuer.statements.key().sign(host.name, leaf, number, number, older=False)
    issuer.offer(other, clash)
    assert_kept(host, host.run(), f"another one with its sequence {sequence.sequence} was taken here")
    issuer._text = clash
    issuer.offer(other, issuer.sign(other))
    assert_taken(host, other)


def test_going_back_on_purpose(host: Host, issuer: SigningIssuer) -> None:
    """An older certificate with a newer statement is taken, one that the database alone marks is not."""
    first, earlier = host.first, issuer._text
    second = host.sign(120)
    issuer.offer(second, issuer.sign(second))
    assert_taken(host, second)
    host.first = second
    issuer.offer(first, earlier, back=True)
    assert_kept(host, host.run(), "it is older than one that was taken here")
    issuer.offer(first, issuer.sign(first, older=True), back=True)
    assert_taken(host, first)


def test_a_shorter_one_with_a_newer_statement(host: Host, issuer: SigningIssuer) -> None:
    """The sequence decides, not the dates."""
    shorter = host.sign(30)
    issuer.offer(shorter, issuer.sign(shorter))
    assert_taken(host, shorter)


def test_an_earlier_statement_where_nothing_is_remembered(host: Host, issuer: SigningIssuer) -> None:
    """A host whose record is lost goes by the dates until it has taken a statement again, at each run."""
    older = host.sign(30, not_before=host.first.certificate.not_valid_before_utc - timedelta(hours=2))
    early = issuer.sign(older)
    for record in (host.state_dir / "records").iterdir():
        record.unlink()
    issuer.offer(older, early)
    assert_kept(host, host.run(), "before the installed one")
    assert_kept(host, host.run("--retry"), "before the installed one")
    issuer.offer(older, issuer.sign(older, older=True))
    assert_taken(host, older)


def test_a_change_of_the_issuers_key(host: Host, issuer: SigningIssuer) -> None:
    """The new key comes with the next certificate, endorsed by the old one, and is remembered: then the old one signs
    nothing more. A second change is followed too."""
    old = (issuer.statements.file.read_bytes(), host.config.read_text(encoding="utf-8"))
    for _ in range(2):
        issuer.change_key()
        issued = host.sign()
        issuer.offer(issued, issuer.sign(issued))
        assert_taken(host, issued)
        host.first = issued
    assert host.config.read_text(encoding="utf-8") == old[1]
    last = issuer._text
    issuer.statements.file.write_bytes(old[0])
    forged = host.sign()
    issuer.offer(forged, issuer.sign(forged))
    assert_kept(host, host.run(), "it is not signed by the issuer's key")
    assert "it is not signed by the issuer's key" in host.agent("check").out
    issuer.offer(host.first, last)
    assert_taken(host, host.first)
    assert host.agent("check").code == 0


def test_a_new_key_without_endorsement(host: Host, issuer: SigningIssuer) -> None:
    """After the loss of the key hosts keep what they have, until a person pins the new one."""
    issuer.statements.begin_change(lost=True)
    issuer.statements.end_change()
    issued = host.sign()
    issuer.offer(issued, issuer.sign(issued))
    done = host.run()
    assert_kept(host, done, "it is not signed by the issuer's key")
    assert "`certfleet-issuer key show` tells the issuer's key" in done.err
    text = host.config.read_text(encoding="utf-8").splitlines()
    pinned = [f'issuer_key = "{issuer.key_text}"' if line.startswith("issuer_key") else line for line in text]
    host.config.write_text("\n".join(pinned), encoding="utf-8")
    assert_taken(host, issued)


def test_an_older_database(host: Host, issuer: SigningIssuer) -> None:
    """Tables from before there were statements: a sentence with what to do; without a pinned key all is as before."""
    issued = host.sign()
    issuer.offer(issued, None)
    issuer.lose_column("statement")
    done = host.run()
    assert_kept(host, done, "the database has no statements yet")
    assert "certfleet-issuer db upgrade" in done.err
    issuer.lose_column("rolled_back")
    text = host.config.read_text(encoding="utf-8").replace(issuer.key_text, "")
    host.config.write_text(text, encoding="utf-8")
    assert_taken(host, issued)


def test_what_is_served_stays(host: Host, nginx: Nginx, tmp_path: Path) -> None:
    """On a real nginx: the thief's certificate is not shown, the issuer's next one is."""
    made = SigningIssuer(host, tmp_path / "issuer")
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe, issuer_key=made.key_text)
    host.first = host.sign()
    made.offer(host.first, made.sign(host.first))
    assert host.run().code == 0
    forged = Authority("Thief Root").intermediate("Thief").sign((host.folder / "host.csr").read_bytes(), 120)
    made.offer(forged, made._text)
    assert_kept(host, host.run(), "it names another certificate")
    assert nginx.served() == host.first.certificate
    second = host.sign()
    made.offer(second, made.sign(second))
    assert_taken(host, second)
    assert nginx.served() == second.certificate
