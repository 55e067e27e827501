"""A whole agent refuses a chain that its host's clients would refuse, and takes its service back from one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.agent import zoo
from tests.agent.host import NAME, Done, Host, agent_ahead
from tests.servers.apache import Apache
from tests.servers.authority import Authority
from tests.servers.nginx import Nginx

ROOT = zoo.root("Root")


BELOW = ROOT.below("Intermediate")


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
    return zoo.private(host.key.read_bytes())


def test_a_foreign_chain_over_our_key(host: Host, ours: zoo.Key) -> None:
    """The right key, names, dates and signatures, from a CA that nobody knows: nothing is touched, roots are named;
    `check` says so before the run does."""
    before = host.fullchain.read_bytes()
    foreign = zoo.root("Root").below("Intermediate")
    file = str(host.folder / "root.pem")
    for roots, shown in ((file, f"the roots in {file}"), ("system", "the system's roots")):
        configure(host, roots)
        offer(host, foreign.leaf(ours, [NAME]), foreign)
        checked = host.agent("check")
        assert checked.code == 1
        assert f"a client that trusts {shown} refuses it: " in checked.out
        done = host.run()
        assert_kept(host, done, f"a client that trusts {shown} refuses it: ")
        assert "name its root in agent.toml" in done.err
        assert host.fullchain.read_bytes() == before
    configure(host, "none")
    assert "the certificate offered fits this host" in host.agent("check").out
    assert host.run().code == 0


def test_no_server_could_load_it(host: Host, ours: zoo.Key) -> None:
    """Where no roots are asked for, a chain that OpenSSL serves nowhere is refused all the same."""
    before = host.fullchain.read_bytes()
    configure(host, "none")
    weak = zoo.root("Weak", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - weak on purpose
    offer(host, weak.leaf(ours, [NAME]), weak)
    assert_kept(host, host.run(), "a TLS server could not load it (CA_KEY_TOO_SMALL)")
    assert host.fullchain.read_bytes() == before


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
    assert_kept(host, host.run(program=agent_ahead(3 * 365 * 86400)), "expired on")
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, True), done.err


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
