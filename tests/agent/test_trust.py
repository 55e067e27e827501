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
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.host import keys, trust
from agent.model.host_key import HostKey
from agent.remote import trust as trust_elsewhere
from agent.rules.verify import installed_in
from common.certificate import fingerprint, load_certificates
from common.errors import ConfigError
from tests.agent import zoo
from tests.agent.host import NAME, Done, Host
from tests.servers.apache import Apache
from tests.servers.authority import Authority
from tests.servers.nginx import Nginx

KEY = keys.make("ecdsa-p256")
ROOT = zoo.root("Root")
BELOW = ROOT.below("Intermediate")


def private(pem: bytes) -> zoo.Key:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key


OURS = private(KEY.content)


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
    leaf = BELOW.leaf(private(key.content), [NAME])
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
    before = os.listdir("/proc/self/fd")
    objection(BELOW.leaf(OURS, [NAME]))
    objection(b"no certificate")
    assert os.listdir("/proc/self/fd") == before


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


def configure(host: Host, roots: str, more: str = "") -> None:
    host.configure(trust=f'roots = "{roots}"', more=more)


def offer(host: Host, leaf: bytes, by: zoo.Maker) -> None:
    host.offer(leaf, by.chain_pem)


def assert_kept(host: Host, done: Done, said: str) -> None:
    """Refused with that sentence; the live file is as it was."""
    assert (done.code, done.certificate["state"]) == (1, "refused"), done.out
    assert said in done.err
    assert "no live file was touched" in done.err


@pytest.fixture
def ours(host: Host) -> zoo.Key:
    """The key of this host, which trusts ROOT."""
    (host.folder / "root.pem").write_bytes(ROOT.pem)
    configure(host, str(host.folder / "root.pem"))
    return private(host.key.read_bytes())


def test_a_foreign_chain_over_our_key(host: Host, ours: zoo.Key) -> None:
    """The right key, names, dates and signatures, from a CA that nobody knows: nothing is touched, roots are named."""
    before = host.fullchain.read_bytes()
    foreign = zoo.root("Root").below("Intermediate")
    file = str(host.folder / "root.pem")
    for roots, shown in ((file, f"the roots in {file}"), ("system", "the system's roots")):
        configure(host, roots)
        offer(host, foreign.leaf(ours, [NAME]), foreign)
        done = host.run()
        assert_kept(host, done, f"a client that trusts {shown} refuses it: ")
        assert "name its root in agent.toml" in done.err
        assert host.fullchain.read_bytes() == before
    configure(host, "none")
    assert host.run().code == 0


@pytest.mark.parametrize(
    ("extensions", "usages", "said"),
    [
        ([], zoo.CLIENT, "purpose"),
        ([zoo.CA], zoo.SERVER, "it is the certificate of a CA"),
        ([zoo.UNKNOWN], zoo.SERVER, "unhandled critical extension"),
    ],
)
def test_the_right_ca_with_a_wrong_leaf(
    host: Host, ours: zoo.Key, extensions: list[zoo.Extension], usages: list[x509.ObjectIdentifier], said: str
) -> None:
    """Not for a server, a CA itself, or with an extension that nobody understands."""
    before = host.fullchain.read_bytes()
    offer(host, BELOW.leaf(ours, [NAME], *extensions, usages=usages), BELOW)
    assert_kept(host, host.run(), said)
    assert host.fullchain.read_bytes() == before


@pytest.mark.parametrize("roots", ["system", "none"])
def test_its_own_issuer_in_words_alone(host: Host, ours: zoo.Key, roots: str) -> None:
    """Issuer and subject are the same, nothing stands above it, and the signature is a stranger's."""
    configure(host, roots)
    stranger = zoo.root("leaf")
    host.offer(stranger.leaf(ours, [NAME]), b"")
    assert_kept(host, host.run(), "the chain is empty")


def test_a_forged_end_blocks_nothing(host: Host, ours: zoo.Key) -> None:
    """What no client trusts is a placeholder, though it says that it lasts until 9999 and began tomorrow."""
    thief = zoo.root("Thief").below("Intermediate")
    forged = thief.leaf(ours, [NAME], days=365 * 7900, start=datetime.now(UTC))
    configure(host, "none")
    offer(host, forged, thief)
    assert host.run().code == 0
    configure(host, str(host.folder / "root.pem"))
    good = BELOW.leaf(ours, [NAME], start=datetime.now(UTC) - timedelta(days=2))
    offer(host, good, BELOW)
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, True), done.err
    assert host.fullchain.read_bytes() == good + BELOW.pem
    older = BELOW.leaf(ours, [NAME], start=datetime.now(UTC) - timedelta(days=9))
    offer(host, older, BELOW)
    assert_kept(host, host.run(), "it was issued earlier")


def test_a_fleet_with_its_own_ca_goes_on_after_an_upgrade(host: Host, ours: zoo.Key) -> None:
    """Without [trust], the CA above the installed certificate vouches for the next one, and `status` says so; a
    stranger of the same name is refused all the same, and so is the same CA for another purpose."""
    configure(host, "none")
    first = BELOW.leaf(ours, [NAME])
    offer(host, first, BELOW)
    assert host.run().code == 0
    host.configure(trust="")
    again = host.run()
    assert (again.code, again.certificate["changed"]) == (0, False), again.err
    assert "trust.issuer-only" in again.err
    second = BELOW.leaf(ours, [NAME])
    offer(host, second, BELOW)
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, True), done.err
    status = host.agent("status")
    assert (status.code, "no trusted root vouches for it" in status.out) == (0, True)
    assert "trust" not in host.run().err  # most days nothing is new, and one line a day would not be read
    stranger = zoo.root("Root").below("Intermediate")
    for leaf, by in ((stranger.leaf(ours, [NAME]), stranger), (BELOW.leaf(ours, [NAME], usages=zoo.CLIENT), BELOW)):
        offer(host, leaf, by)
        assert_kept(host, host.run(), "a client that trusts the system's roots refuses it")
    assert host.fullchain.read_bytes() == second + BELOW.pem


def test_roots_that_were_named_are_all_that_counts(host: Host, ours: zoo.Key) -> None:
    """The CA of the installed certificate vouches for nothing where somebody has named roots; a mended file is a new
    chance at once."""
    configure(host, "none")
    offer(host, BELOW.leaf(ours, [NAME]), BELOW)
    assert host.run().code == 0
    file = host.folder / "other.pem"
    file.write_bytes(zoo.root("Other").pem)
    configure(host, "system", more="")
    text = host.config.read_text(encoding="utf-8").replace("probe = []", f'probe = []\nroots = "{file}"')
    host.config.write_text(text, encoding="utf-8")
    assert_kept(host, host.run(), f"a client that trusts the roots in {file} refuses it")
    file.unlink()
    assert_kept(host, host.run("--retry"), "cannot be read: No such file")
    file.write_bytes(ROOT.pem)
    assert host.run().code == 0


def test_the_roots_are_no_target(host: Host, ours: zoo.Key) -> None:
    """A link that leads to them is not followed: the next chain would vouch for itself."""
    roots = host.folder / "root.pem"
    host.fullchain.unlink()
    host.fullchain.symlink_to(roots)
    offer(host, BELOW.leaf(ours, [NAME]), BELOW)
    done = host.run()
    assert (done.code, roots.read_bytes()) == (1, ROOT.pem)
    assert f"leads to {roots}, which must not be overwritten" in done.err


def test_a_wrong_clock_is_soon_forgotten(host: Host, ours: zoo.Key) -> None:
    """One run three years ahead refuses the certificate; the next with the right clock takes it."""
    offer(host, BELOW.leaf(ours, [NAME]), BELOW)
    ahead = "import time; was = time.time; time.time = lambda: was() + 3 * 365 * 86400\n"
    program = f"{ahead}import sys; from agent.cli import main; sys.exit(main())"
    assert_kept(host, host.run(program=program, fresh=True), "expired on")
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, True), done.err


# --- what a service shows


def test_nginx_names_the_leaf_alone(host: Host, tmp_path: Path) -> None:
    """The service leaves out the intermediate: the new one stays, the finding is 1 on each run and each host."""
    leaf, chain = host.live / "leaf.pem", host.live / "chain.pem"
    leaf.write_bytes(host.self_signed())
    files = f'[certificate.files]\ncertificate = "{leaf}"\nchain = "{chain}"'
    with Nginx(tmp_path / "nginx", leaf, host.key, name=NAME) as server:
        probe = [f"https://127.0.0.1:{server.port}"]
        host.configure(check=server.check, activate=server.activate, probe=probe, files=files, probe_timeout="1s")
        issued = host.offer_new()
        for changed in (True, False):
            done = host.run()
            assert (done.code, done.certificate["state"], done.certificate["changed"]) == (1, "incomplete", changed)
            assert "leaves out 1 of 1 intermediate certificates" in done.err
            assert "full chain" in done.err
        assert server.served() == issued.certificate
        renewed = host.offer_new()  # it was like that before: going back would mend nothing
        assert (host.run().code, server.served()) == (1, renewed.certificate)
        assert host.reported()["state"] == "incomplete"


def test_a_chain_that_does_not_follow_takes_the_service_back(host: Host, apache: Apache) -> None:
    """The clients had a whole chain and would lose it: the old certificate comes back, and the run says why."""
    first = host.offer_new()
    assert host.run().code == 0
    files = f'[certificate.files]\ncertificate = "{host.fullchain}"'
    probe = [f"https://127.0.0.1:{apache.port}"]
    host.configure(check=apache.check, activate=apache.activate, probe=probe, files=files, probe_timeout="1s")
    old = host.fullchain.read_bytes()
    host.authority = host.root.intermediate("Next")
    host.offer_new()
    done = host.run()
    assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
    assert "does not serve the new certificate whole" in done.err
    assert (apache.served(), host.fullchain.read_bytes()) == (first.certificate, old)


def test_a_root_in_the_chain_need_not_be_shown(host: Host, tmp_path: Path) -> None:
    """A CA whose root signs leaves sends the root as chain, and clients have it: the leaf alone is whole."""
    root = Authority("Direct")
    host.roots.write_bytes(root.pem)
    leaf = host.live / "leaf.pem"
    leaf.write_bytes(host.self_signed())
    files = f'[certificate.files]\ncertificate = "{leaf}"\nchain = "{host.live / "chain.pem"}"'
    with Nginx(tmp_path / "nginx", leaf, host.key, name=NAME) as server:
        probe = [f"https://127.0.0.1:{server.port}"]
        host.configure(check=server.check, activate=server.activate, probe=probe, files=files)
        issued = root.sign((host.folder / "host.csr").read_bytes())
        host.offer(issued.cert_pem, root.pem)
        done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
