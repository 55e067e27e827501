"""Thieves who write the database that hosts read, without the issuer's statement key and with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from common.certificate import parse_bundle
from common.statement import SignedText, Statement, signed
from issuer.model.leaf import Leaf, leaf_of
from issuer.trust.statements import StatementKey
from tests.agent.host import Host
from tests.agent.signing_issuer import SigningIssuer
from tests.servers.authority import Authority, Issued
from tests.servers.revocation import Published, listed_at, revocation_list
from tests.trust.thief import Thief

FAR = 2**63 - 1


class Fleet:
    """Hosts of one issuer with one certificate installed, each with another table [trust]: by its name here."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.hosts: dict[str, tuple[Host, SigningIssuer]] = {}
        for name, trust in {"key": None, "roots": None, "none": 'roots = "none"'}.items():
            host = Host(folder / name)
            host.make_key()
            host.put_placeholder()
            issuer = SigningIssuer(host, folder / f"issuer of {name}")
            host.configure(trust=trust, issuer_key=issuer.key_text if name == "key" else "")
            host.first = host.sign()
            issuer.offer(host.first, issuer.sign(host.first))
            assert host.run().code == 0
            self.hosts[name] = host, issuer

    def takes(self, which: str, make: Callable[[Host], Issued], *, said: str | None = None, back: bool = False) -> bool:
        """Does that host install the certificate that he makes for it, with the statement *said*?"""
        host, issuer = self.hosts[which]
        issued = make(host)
        issuer.offer(issued, said, back=back)
        done = host.run()
        taken = host.fullchain.read_bytes() == issued.fullchain_pem
        assert done.code == (0 if taken else 1), done.err
        return taken


@pytest.fixture
def fleet(tmp_path: Path) -> Fleet:
    return Fleet(tmp_path)


def by_himself(host: Host) -> Issued:
    """Of a CA of his own, for the host's key."""
    return Authority("Thief").intermediate("Thief too").sign((host.folder / "host.csr").read_bytes())


def for_himself(host: Host) -> Issued:
    """Of the CA that every client trusts, for his own key."""
    return host.authority.issue([host.name])


def test_the_database_as_a_host_reads_it(fleet: Fleet) -> None:
    """What a host takes from it depends on what it trusts."""
    thief = Thief("The database, as a host reads it")
    first = {name: host.first for name, (host, _) in fleet.hosts.items()}
    old_word = {name: issuer._text for name, (_, issuer) in fleet.hosts.items()}
    takes = fleet.takes
    for which in fleet.hosts:
        assert not takes(which, for_himself)
    thief.tries("a certificate for his own key, on any host", got=False)
    thief.tries("one of a CA of his own for the host's key, on a host with roots", got=takes("roots", by_himself))
    thief.tries('the same with roots = "none"', got=takes("none", by_himself))
    thief.tries("one of a trusted CA for the host's key, on a host with issuer_key", got=takes("key", Host.sign))
    thief.tries(
        "the same with a statement of a key of his own", got=takes("key", Host.sign, said=by_another_key(fleet))
    )
    thief.tries("the same without issuer_key", got=takes("roots", Host.sign))

    host, issuer = fleet.hosts["key"]
    newer = host.sign()
    issuer.offer(newer, issuer.sign(newer))
    assert host.run().code == 0
    got = takes("key", lambda _: first["key"], said=old_word["key"], back=True)
    thief.tries("an earlier certificate of the host, with its earlier statement, on a host with issuer_key", got=got)
    back = issuer.sign(first["key"], older=True)  # once the issuer went back, and on again
    for issued, text in ((first["key"], back), (newer, issuer.sign(newer))):
        issuer.offer(issued, text)
        assert host.run().code == 0
    host.sql("UPDATE certs SET ts_expire = 1e26")
    assert host.run().code == 0
    got = takes("key", lambda _: first["key"], said=back)
    thief.tries("the same after a number in the row that no record of the host can keep", got=got)
    got = takes("roots", lambda _: first["roots"], back=True)
    thief.tries("an earlier certificate of the host, without issuer_key", got=got)
    with Published(fleet.folder / "lists", fleet.hosts["none"][0].authority) as lists:
        thief.tries("one that was revoked, where the host can ask its CA", got=takes_revoked(fleet, "none", lists))
    thief.is_told()


def takes_revoked(fleet: Fleet, which: str, lists: Published) -> bool:
    """Does that host go back to a certificate that is on the list of its CA since?"""
    host, issuer = fleet.hosts[which]
    host.authority.added = [listed_at(lists.put("ca.crl", revocation_list(host.authority)))]
    stolen = host.sign()
    for issued in (stolen, host.sign()):
        issuer.offer(issued, None)
        assert host.run().code == 0
    lists.put("ca.crl", revocation_list(host.authority, stolen.certificate))
    return fleet.takes(which, lambda _: stolen, back=True)


def by_another_key(fleet: Fleet) -> str:
    """A statement of another issuer."""
    host = fleet.hosts["key"][0]
    issuer = SigningIssuer(Host(fleet.folder / "his host"), fleet.folder / "his issuer")
    return issuer.sign(host.first, name=host.name)


def his_word(key: StatementKey, host: Host, issued: Issued, sequence: int, *, older: bool = False) -> str:
    """What he says with the issuer's own key."""
    leaf = leaf_of(parse_bundle(issued.fullchain_pem).leaf_pem)
    assert isinstance(leaf, Leaf)
    names = tuple(sorted(leaf.names))
    statement = Statement(host.name, leaf.spki_sha256, names, leaf.sha256, leaf.ends, sequence, 1, older)
    return str(SignedText(signed(statement, key.private.sign)))


def test_the_statement_key(fleet: Fleet) -> None:
    """With the right to write the database beside it; alone it says what nobody hears."""
    thief = Thief("The statement key, and the database")
    host, issuer = fleet.hosts["key"]
    key, sequence = issuer.statements.key(), issuer_sequence(issuer)

    def takes(make: Callable[[Host], Issued], number: int, *, older: bool = False) -> bool:
        issued = make(host)
        return fleet.takes("key", lambda _: issued, said=his_word(key, host, issued, number, older=older))

    thief.tries("a certificate for his own key", got=takes(for_himself, sequence + 10))
    thief.tries("one of a CA of his own for the host's key", got=takes(by_himself, sequence + 11))
    newer = host.sign()
    issuer.offer(newer, issuer.sign(newer))
    assert host.run().code == 0
    got = takes(lambda host: host.first, sequence + 100, older=True)
    thief.tries("an earlier certificate of the host", got=got)
    assert takes(Host.sign, FAR)
    last = host.sign()
    got = not fleet.takes("key", lambda _: last, said=his_word(key, host, last, sequence + 1000))
    thief.tries("that the host refuses what the issuer signs from then on", got=got)
    issuer.statements.begin_change(lost=True)
    issuer.statements.end_change()
    number = sequence + 1001
    text = issuer.statements.key().sign(host.name, leaf(last), number, number, older=False)
    host.configure(issuer_key=issuer.key_text)
    got = not fleet.takes("key", lambda _: last, said=text)
    thief.tries("the same once the host has been told another key", got=got)
    thief.is_told()


def leaf(issued: Issued) -> Leaf:
    found = leaf_of(issued.cert_pem)
    assert isinstance(found, Leaf)
    return found


def issuer_sequence(issuer: SigningIssuer) -> int:
    found = issuer.statements.key().statement(issuer._text)
    assert found is not None
    return found.sequence
