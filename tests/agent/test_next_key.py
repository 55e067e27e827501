"""`request --next`: key and names change without a gap. A real nginx reads the key's own file."""

import contextlib
import os
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from cryptography import x509

from tests.agent.host import NAME, Done, Host
from tests.agent.killed import Step
from tests.agent.test_install_killed import die
from tests.servers.authority import Issued
from tests.servers.nginx import Nginx
from tests.servers.tls import completes_handshake

OTHER = "other.example.test"


@pytest.fixture(autouse=True)
def first(host: Host, nginx: Nginx) -> Issued:
    """A certificate in place, for the present key, which a group may read."""
    host.first = host.offer_new()
    host.key.chmod(0o640)
    assert host.run().code == 0
    return host.first


def next_key(host: Host) -> Path:
    return host.key.with_name("key.pem.next")


def request(host: Host, *words: str) -> Done:
    return host.agent("request", NAME, "--next", "--csr", str(host.folder / "next.csr"), *words)


def offer_next(host: Host) -> Issued:
    """The issuer has a certificate for the CSR of the next key."""
    issued = host.authority.sign((host.folder / "next.csr").read_bytes())
    host.offer(issued.cert_pem, issued.chain_pem)
    return issued


def fits(host: Host) -> bool:
    """Are the live files a pair that a server can load?"""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with contextlib.suppress(ssl.SSLError):
        context.load_cert_chain(host.fullchain, host.key)
        return True
    return False


def test_key_and_names_change_in_one_install(host: Host, nginx: Nginx, first: Issued) -> None:
    """Nothing changes before the certificate is there; then both files do, with the rights of before, under clients."""
    before = host.key.read_bytes()
    done = request(host, "--san", OTHER)
    assert done.code == 0, done.err
    assert f"certfleet-issuer populate --replace {NAME} --csr {host.folder}/next.csr" in done.out
    assert next_key(host).stat().st_mode & 0o777 == 0o600
    assert host.run().code == 0
    assert f"its next key waits in {next_key(host)}" in host.agent("check").out
    assert (host.key.read_bytes(), nginx.served()) == (before, first.certificate)
    made = next_key(host).read_bytes()
    new = offer_next(host)
    over, completed = threading.Event(), list[bool]()

    def clients() -> None:
        while not over.is_set():
            completed.append(completes_handshake(nginx.port, NAME))

    thread = threading.Thread(target=clients)
    thread.start()
    done = host.run()
    over.set()
    thread.join()
    assert (done.code, done.certificate["state"], all(completed)) == (0, "installed", True), done.err
    assert nginx.served() == new.certificate
    names = new.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {NAME, OTHER}
    assert host.key.read_bytes() == made
    assert host.key.stat().st_mode & 0o777 == 0o640
    assert not next_key(host).exists()
    assert host.leftovers() == []
    done = host.run()
    assert (done.code, done.certificate["changed"]) == (0, False)


def test_the_present_key_is_renewed_meanwhile(host: Host, nginx: Nginx) -> None:
    """A next key is no reason to refuse a certificate for the present one, nor is one that cannot be used."""
    assert request(host).code == 0
    renewed = host.offer_new()
    assert host.run().code == 0
    assert nginx.served() == renewed.certificate
    next_key(host).write_text("nonsense")
    renewed = host.offer_new()
    assert host.run().code == 0
    assert nginx.served() == renewed.certificate
    assert next_key(host).exists()


def test_a_second_request(host: Host) -> None:
    """The key stays, and the CSR has the names of the certificate in place, those asked for, and no other."""
    first, second = request(host, "--json"), request(host, "--san", OTHER, "--json")
    assert (first.json["key_created"], second.json["key_created"]) == (True, False)
    assert first.json["spki_sha256"] == second.json["spki_sha256"]
    assert (first.json["names"], second.json["names"]) == ([NAME], [NAME, OTHER])
    refused = request(host, "--key-type", "rsa2048")
    assert (refused.code, "leave out --key-type" in refused.err) == (1, True)
    assert "with --key" not in refused.err  # which --next refuses
    offer_next(host)
    assert host.run().code == 0
    third = request(host, "--json", "--csr", "-")
    assert third.json["names"] == [NAME, OTHER]
    assert third.json["spki_sha256"] != second.json["spki_sha256"]


def test_a_name_of_the_certificate_in_place_stays(host: Host) -> None:
    """Also where agent.toml insists on another one of its names alone."""
    host.config.write_text(host.config.read_text().replace(f'name = "{NAME}"', f'name = "{NAME}"\nnames = ["{OTHER}"]'))
    done = request(host, "--json")
    assert (done.code, done.json["names"]) == (0, [NAME, OTHER]), done.err


@pytest.mark.parametrize("words", [["--key", "/x"], ["--interim"]])
def test_words_that_do_not_go_together(host: Host, words: list[str]) -> None:
    assert request(host, *words).code == 2
    assert not next_key(host).exists()


def test_a_type_of_key_that_is_not_made(host: Host) -> None:
    """Another program made the live one: a sentence names the choice there is."""
    subprocess.run(["openssl", "ecparam", "-genkey", "-name", "secp521r1", "-noout", "-out", host.key], check=True)
    done = request(host)
    assert (done.code, next_key(host).exists()) == (1, False)
    assert "no key of type secp521r1 is made" in done.err
    assert "`--key-type` names another: rsa2048, " in done.err
    assert "a fault in certfleet" not in done.err
    done = request(host, "--key-type", "ecdsa-p384", "--json")
    assert (done.code, done.json["key_type"]) == (0, "ecdsa-p384"), done.err


def test_a_key_of_two_certificates(host: Host) -> None:
    """The other one would not fit any more: refused, with the way that there is."""
    link = host.folder / "link.pem"
    link.symlink_to(host.key)
    text = f'[[certificate]]\nname = "{OTHER}"\nkey = "{link}"\nprobe = []\nfiles.fullchain = "{host.live}/other.pem"\n'
    host.config.write_text(host.config.read_text() + text)
    done = request(host)
    assert done.code == 1
    assert f"{OTHER} has the same key" in done.err
    assert f"`certfleet-agent request {NAME} --key NEW --csr FILE`" in done.err
    assert not next_key(host).exists()
    new, csr = host.folder / "new.pem", host.folder / "new.csr"
    assert host.agent("request", NAME, "--key", str(new), "--csr", str(csr)).code == 0
    issued = host.authority.sign(csr.read_bytes())
    host.offer(issued.cert_pem, issued.chain_pem)
    host.config.write_text(host.config.read_text().replace(f'key = "{host.key}"', f'key = "{new}"'))
    assert host.run(NAME).certificate["state"] != "refused"


@pytest.mark.soak
def test_another_type_of_key_and_what_else_lies_in_its_file(host: Host, nginx: Nginx) -> None:
    """The certificates and comments beside the key stay; a combined file gets the new key too."""
    combined = host.live / "combined.pem"
    more = f'[[certificate.combined]]\npath = "{combined}"\nparts = ["key", "certificate", "chain"]'
    probe = [f"https://127.0.0.1:{nginx.port}"]
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe, more=more)
    host.key.write_bytes(b"# ours\n" + host.key.read_bytes() + b"# kept\n")
    assert host.run().code == 0
    assert request(host, "--key-type", "rsa2048").code == 0
    made = next_key(host).read_bytes()
    new = offer_next(host)
    done = host.run()
    assert done.code == 0, done.err
    assert nginx.served() == new.certificate
    assert host.key.read_bytes() == b"# ours\n" + made + b"# kept\n"
    assert combined.read_bytes() == made + new.fullchain_pem


def test_what_the_service_refuses_goes_back_with_its_key(host: Host, nginx: Nginx, first: Issued) -> None:
    """The old pair is in place and served, the next key waits on, and a plain run leaves all alone."""
    probe = [f"https://127.0.0.1:{nginx.port}"]
    assert request(host).code == 0
    key, made = host.key.read_bytes(), next_key(host).read_bytes()
    host.configure(check=nginx.check, activate=["true"], probe=probe, probe_timeout="1s")
    new = offer_next(host)
    for _ in range(2):
        done = host.run()
        assert (done.code, done.certificate["state"]) == (1, "failed"), done.err
        assert done.certificate["refused"]["attempts"] == 1
        assert (host.key.read_bytes(), next_key(host).read_bytes()) == (key, made)
        assert nginx.served() == first.certificate
        assert fits(host)
    host.configure(check=nginx.check, activate=nginx.activate, probe=probe)
    assert host.run().code == 0
    assert nginx.served() == new.certificate


STEPS: list[Step] = [
    ("agent.journey.install", "swap", 1, "before"),
    ("os", "rename", 3, "before"),
    ("os", "rename", 4, "before"),  # certificate and key are no pair at this moment
    ("agent.journey.install", "swap", 1, "after"),
    ("agent.journey.install", "activate", 1, "before"),
    ("agent.journey.install", "activate", 1, "after"),
    ("agent.journey.install", "commit", 1, "before"),
    ("agent.journey.install", "commit", 1, "after"),
    ("agent.journey.due", "drop_spent", 1, "after"),
    ("agent.host.state_folder:StateFolder", "save_records", 1, "after"),
]


@pytest.mark.sampled
@pytest.mark.parametrize("step", STEPS, ids=str)
def test_killed_on_the_way(host: Host, nginx: Nginx, step: Step) -> None:
    """Whatever instruction it dies at, the next run ends with the new pair, and nginx serves all the time."""
    assert request(host).code == 0
    made = next_key(host).read_bytes()
    new = offer_next(host)
    die(host, step)
    assert completes_handshake(nginx.port, NAME)
    done = host.run()
    assert (done.code, done.certificate["state"]) == (0, "installed"), done.err
    assert nginx.served() == new.certificate
    assert host.key.read_bytes() == made
    assert fits(host)
    assert not next_key(host).exists()
    assert host.leftovers() == []


def test_an_earlier_certificate_is_for_an_earlier_key(host: Host, nginx: Nginx) -> None:
    """Its key is not here any more: nobody goes back to it, and the sentence says why."""
    assert request(host).code == 0
    new = offer_next(host)
    assert host.run().code == 0
    done = host.agent("rollback", NAME)
    assert done.code == 1
    assert "none of those that are kept is older and fits the key" in done.err
    assert "one for an earlier key is not gone back to" in done.err
    assert nginx.served() == new.certificate


def test_a_folder_of_another_user(host: Host, tmp_path: Path) -> None:
    """He could lead us to another's key, or own the file that gets the new one: no next key is made or taken there."""
    secret = tmp_path / "secret.pem"
    secret.write_bytes(host.key.read_bytes())
    secret.chmod(0o600)
    assert request(host).code == 0
    offer_next(host)
    live = host.key.read_bytes()
    next_key(host).rename(host.folder / "his.pem")
    his = host.folder / "his"
    his.mkdir()
    for name, target in (("key.pem", host.key), ("key.pem.next", host.folder / "his.pem")):
        target.rename(his / name)
    host.config.write_text(host.config.read_text().replace(str(host.key), str(his / "key.pem")))
    os.chown(his, 65534, 65534)
    done = host.run()
    assert done.code == 1
    assert "it belongs to another key" in done.err
    assert (his / "key.pem").read_bytes() == live
    done = request(host)
    assert done.code == 1
    assert f"others than root can put files of their own into {his}" in done.err
    (his / "key.pem").unlink()
    (his / "key.pem").symlink_to(secret)
    os.lchown(his / "key.pem", 65534, 65534)
    done = host.agent("request", NAME, "--csr", "-")
    assert (done.code, done.out) == (2, "")
    assert "a symbolic link" in done.err


@pytest.mark.parametrize("word", ["--next", "--interim"])
def test_an_agent_toml_of_another_user(host: Host, word: str) -> None:
    """Its paths are where root would write."""
    os.chown(host.config, 65534, 65534)
    done = host.agent("request", NAME, word, "--csr", "-")
    assert (done.code, done.out) == (2, "")
    assert "can make root run any command" in done.err
    assert host.agent("request", NAME, word, "--csr", "-", "--obey-owner").code in {0, 1}
