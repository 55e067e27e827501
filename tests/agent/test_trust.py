"""The judgement of clients: what ordinary CAs make is taken, what no client takes never reaches a live file."""

import os
import ssl
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from agent.host import keys, trust
from agent.model.host_key import HostKey
from agent.remote import trust as trust_elsewhere
from agent.rules.verify import installed_in
from common.certificate import fingerprint, load_certificates
from common.errors import ConfigError
from tests.agent import zoo
from tests.agent.host import NAME

KEY = keys.make("ecdsa-p256")
ROOT = zoo.root("Root")
BELOW = ROOT.below("Intermediate")


OURS = zoo.private(KEY.content)


def objection(leaf: bytes, by: zoo.Maker = BELOW, names: Sequence[str] = (NAME,), root: zoo.Maker = ROOT) -> str:
    """What a client that trusts *root* says of *leaf* with the chain of its CA."""
    return judged(leaf + by.chain_pem, names, root.pem)


def judged(fullchain: bytes, names: Sequence[str], roots: Literal["system"] | Path | bytes, key: HostKey = KEY) -> str:
    """What a client says; without the private key, which stays on another host, the judgement is the same."""
    found = trust.objection(fullchain, key, names, roots)
    elsewhere = trust_elsewhere.objection(fullchain, replace(key, content=b""), names, roots)
    assert bool(elsewhere) == bool(found), (found, elsewhere)
    return found


NAMES = [NAME, "*.example.org", "192.0.2.7", "2001:db8::7", "xn--mller-kva.example.test", "_x.example.test"]


def permitted(*names: str) -> zoo.Extension:
    return x509.NameConstraints([x509.DNSName(name) for name in names], None), True


@pytest.mark.parametrize(
    ("leaf", "by"),
    [
        (lambda by: by.leaf(OURS, NAMES, zoo.NOT_CA), BELOW),
        (lambda by: by.leaf(OURS, NAMES, usages=None), BELOW),
        (lambda by: by.leaf(OURS, NAMES, usages=[*zoo.CLIENT, *zoo.SERVER]), BELOW),
        (lambda by: by.leaf(OURS, NAMES, days=5 * 365), BELOW),
        (lambda by: by.leaf(OURS, NAMES), BELOW.below("Second").below("Third")),
        (lambda by: by.leaf(OURS, NAMES), ROOT),
        (lambda by: by.leaf(OURS, [NAME]), ROOT.below("Constrained", (zoo.CA, permitted("example.test")))),
    ],
)
def test_what_ordinary_private_cas_make_is_taken(leaf: Callable[[zoo.Maker], bytes], by: zoo.Maker) -> None:
    """No identifiers of keys, no key usage, no extended one, years of life, many steps: clients take all of that."""
    made = leaf(by)
    names = NAMES if by.certificate.subject.rfc4514_string() != "CN=Constrained" else [NAME]
    assert objection(made, by, names) == ""


@pytest.mark.parametrize(
    ("leaf", "by", "said"),
    [
        (BELOW.leaf(OURS, [NAME], usages=zoo.CLIENT), BELOW, "purpose"),
        (BELOW.leaf(OURS, [NAME], zoo.UNKNOWN), BELOW, "unhandled critical extension"),
        (BELOW.leaf(OURS, ["elsewhere.test"]), BELOW, "Hostname mismatch"),
        (BELOW.leaf(OURS, ["*.test"]), BELOW, "Hostname mismatch"),
        (BELOW.leaf(OURS, [NAME], days=0.01), BELOW, "certificate has expired"),
        (BELOW.leaf(OURS, [NAME], start=datetime.now(UTC) + timedelta(days=1)), BELOW, "not yet valid"),
        *((by.leaf(OURS, [NAME]), by, said) for by, said in [
            (zoo.root("Root"), "certificate signature failure"),  # the right name, another key
            (zoo.root("Foreign").below("Intermediate"), "local issuer"),
            (ROOT.below("No CA", (zoo.NOT_CA,)), "invalid CA"),
            (ROOT.below("No CA either", ()), "invalid CA"),
            (ROOT.below("Odd", (zoo.CA, zoo.UNKNOWN)), "unhandled critical extension"),
            (ROOT.below("Elsewhere", (zoo.CA, permitted("elsewhere.test"))), "permitted subtree violation"),
            (ROOT.below("Short", ((x509.BasicConstraints(ca=True, path_length=0), True),)).below("Too far"), "length"),
        ]),
    ],
)  # fmt: skip
def test_what_no_client_takes_is_refused(leaf: bytes, by: zoo.Maker, said: str) -> None:
    """In the words of the library that most clients verify by."""
    assert said in objection(leaf, by)


def test_a_chain_without_its_intermediate() -> None:
    """A client that knows the root alone cannot build the way."""
    assert "local issuer" in judged(BELOW.leaf(OURS, [NAME]), [NAME], ROOT.pem)


def test_a_weak_ca() -> None:
    """RSA of 1024 bits, though the client trusts it."""
    weak = zoo.root("Weak", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - weak on purpose
    assert "TOO_SMALL" in objection(weak.leaf(OURS, [NAME]), weak, root=weak)


@pytest.mark.parametrize("key_type", ["rsa2048", "rsa3072", "ecdsa-p256", "ecdsa-p384"])
def test_each_type_of_key(key_type: str) -> None:
    """The key serves, whatever it is."""
    key = keys.make(key_type)
    leaf = BELOW.leaf(zoo.private(key.content), [NAME])
    assert judged(leaf + BELOW.chain_pem, [NAME], ROOT.pem, key) == ""


def test_the_system_store_and_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of OpenSSL, wherever its variables say that it is; a PEM file with words around the certificates."""
    leaf = BELOW.leaf(OURS, [NAME])
    file = tmp_path / "roots.pem"
    file.write_bytes("# Größe\n".encode() + zoo.root("Other").pem + b"\n# ours\n" + ROOT.pem)
    assert judged(leaf + BELOW.chain_pem, [NAME], file) == ""
    assert "local issuer" in judged(leaf + BELOW.chain_pem, [NAME], "system")
    monkeypatch.setenv(ssl.get_default_verify_paths().openssl_cafile_env, str(file))
    assert judged(leaf + BELOW.chain_pem, [NAME], "system") == ""


def test_a_file_of_roots_is_read_once_and_anew_when_it_changes(tmp_path: Path) -> None:
    """A host may have hundreds of certificates due; a root may be added between two of them."""
    chain, file, other = BELOW.leaf(OURS, [NAME]) + BELOW.chain_pem, tmp_path / "roots.pem", tmp_path / "new.pem"
    file.write_bytes(zoo.root("Other").pem)
    before = trust._client_of.cache_info()
    for _ in range(3):
        assert "local issuer" in trust.objection(chain, KEY, [NAME], file)
    after = trust._client_of.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)
    other.write_bytes(ROOT.pem)
    other.rename(file)
    assert trust.objection(chain, KEY, [NAME], file) == ""


@pytest.mark.parametrize(("content", "said"), [(None, "No such file"), (b"", "no certificate"), (b"text", "no cert")])
def test_a_file_of_roots_that_is_none(tmp_path: Path, content: bytes | None, said: str) -> None:
    """A sentence with its path."""
    file = tmp_path / "roots.pem"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=said) as raised:
        judged(b"", [NAME], file)
    assert str(file) in str(raised.value)


def test_no_key_stays_open() -> None:
    """Chain and key are served from files in memory, which are closed again."""
    before = set(os.listdir("/proc/self/fd"))  # threads of other tests may close theirs meanwhile
    objection(BELOW.leaf(OURS, [NAME]))
    objection(b"no certificate")
    assert set(os.listdir("/proc/self/fd")) <= before


def test_the_way_above_what_is_installed() -> None:
    """CAs count by their signatures, whatever their file and order; a foreign one of the same name does not."""
    leaf, foreign = BELOW.leaf(OURS, [NAME]), zoo.root("Root").below("Intermediate")
    files = [b"garbage", ROOT.pem + foreign.pem, leaf, BELOW.pem]
    found = installed_in(files, KEY.spki_sha256)
    assert found is not None
    assert [fingerprint(one) for one in (found.leaf, *found.chain)] == [
        fingerprint(one) for pem in (leaf, BELOW.pem, ROOT.pem) for one in load_certificates(pem)
    ]
    assert installed_in(files, keys.make("ecdsa-p256").spki_sha256) is None


# --- the whole agent, on a host whose service cannot be asked


# --- what a service shows
