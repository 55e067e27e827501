"""request: the key and the signing request of a host, made beside what is there already."""

import os
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from common.certificate import spki_sha256
from tests.agent.host import NAME, Host


def request(host: Host, *arguments: str) -> dict[str, object]:
    done = host.agent("request", *arguments, "--json")
    assert done.code == 0, done.err
    document = done.json
    assert isinstance(document, dict)
    return document


def names_of(csr: Path) -> list[str]:
    parsed = x509.load_pem_x509_csr(csr.read_bytes())
    assert parsed.is_signature_valid
    return parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(
        x509.DNSName
    )


@pytest.mark.sampled
@pytest.mark.parametrize("key_type", ["rsa2048", "rsa3072", "rsa4096", "ecdsa-p256", "ecdsa-p384"])
def test_request_makes_key_and_csr(bare: Host, key_type: str) -> None:
    """The key is 0600; openssl accepts the CSR; the name is there once."""
    made = request(bare, NAME, "--key", "k.pem", "--key-type", key_type)
    key, csr = bare.folder / "k.pem", bare.folder / f"{NAME}.csr"
    assert (made["key"], made["csr"], made["key_type"], made["key_created"]) == (str(key), str(csr), key_type, True)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert names_of(csr) == [NAME]
    shown = subprocess.run(
        ["openssl", "req", "-in", csr, "-noout", "-verify", "-subject"], capture_output=True, text=True, check=True
    )
    assert NAME in shown.stdout
    assert made["spki_sha256"] == spki_sha256(load_pem_private_key(key.read_bytes(), None).public_key())  # type: ignore[arg-type]


def test_a_second_request_never_touches_the_key(bare: Host) -> None:
    """It makes the CSR that is missing, or one with other names; the key stays, byte for byte."""
    request(bare, NAME, "--key", "k.pem")
    key, csr = bare.folder / "k.pem", bare.folder / f"{NAME}.csr"
    before, first = (key.read_bytes(), key.stat()), csr.read_bytes()
    assert request(bare, NAME, "--key", "k.pem")["csr_written"] is False
    assert csr.read_bytes() == first
    csr.unlink()
    assert request(bare, NAME, "--key", "k.pem")["key_created"] is False
    made = request(bare, NAME, "--key", "k.pem", "--san", "b.example.test", "--san", "c.example.test,d.example.test")
    assert made["names"] == [NAME, "b.example.test", "c.example.test", "d.example.test"]
    assert names_of(csr) == made["names"]
    assert (key.read_bytes(), key.stat()) == before


def test_a_request_for_another_type_of_an_existing_key_is_refused(bare: Host) -> None:
    """Keys are never overwritten, and a wish that cannot be met is not silently ignored."""
    request(bare, NAME, "--key", "k.pem")
    before = (bare.folder / "k.pem").read_bytes()
    done = bare.agent("request", NAME, "--key", "k.pem", "--key-type", "rsa2048")
    assert done.code == 1
    assert "keys are never overwritten" in done.err
    assert (bare.folder / "k.pem").read_bytes() == before


def test_a_csr_of_another_key_is_not_overwritten(bare: Host) -> None:
    """And no key is made on the way."""
    request(bare, NAME, "--key", "k.pem")
    done = bare.agent("request", NAME, "--key", "other.pem")
    assert done.code == 1
    assert "exists already" in done.err
    assert not (bare.folder / "other.pem").exists()
    request(bare, "x.example.test", "--key", "other.pem")
    done = bare.agent("request", NAME, "--key", "other.pem")
    assert (done.code, "it belongs to another key" in done.err) == (1, True)


def test_a_wildcard_and_a_long_name(bare: Host) -> None:
    """File names without a star; a name longer than 64 characters stands in the SAN alone, which is then critical."""
    made = request(bare, "*.example.test", "--san", "example.test", "--key", "w.pem")
    assert str(made["csr"]).endswith("/_wildcard.example.test.csr")
    assert names_of(Path(str(made["csr"]))) == ["*.example.test", "example.test"]
    long = f"{'a' * 60}.example.test"
    parsed = x509.load_pem_x509_csr(Path(str(request(bare, long, "--key", "w.pem")["csr"])).read_bytes())
    assert list(parsed.subject) == []
    assert parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).critical


def test_a_csr_on_standard_output(bare: Host) -> None:
    """Nothing but the CSR there, so that it can be piped to the issuer."""
    done = bare.agent("request", NAME, "--key", "k.pem", "--csr", "-")
    assert done.code == 0
    assert x509.load_pem_x509_csr(done.out.encode()).is_signature_valid
    assert done.out.startswith("-----BEGIN CERTIFICATE REQUEST-----")


def test_a_request_follows_the_configuration(host: Host) -> None:
    """Key and names come from the certificate's entry."""
    host.configure(more="")
    names = f'["b.example.test", "{NAME}"]'
    text = host.config.read_text().replace(f'name = "{NAME}"', f'name = "{NAME}"\nnames = {names}')
    host.config.write_text(text)
    done = host.agent("request", NAME, "--json")
    assert done.code == 0, done.err
    assert (done.json["key"], done.json["names"]) == (str(host.key), [NAME, "b.example.test"])
    assert "is not in" not in host.agent("request", NAME, "--csr", str(host.folder / "a.csr")).out
    mistyped = host.agent(
        "request", "wwww.example.test", "--key", str(host.folder / "w.pem"), "--csr", str(host.folder / "w.csr")
    )
    assert f"note wwww.example.test is not in {host.config} yet" in mistyped.out


@pytest.mark.parametrize("words", [[], ["--next"]])
def test_a_label_is_no_name(host: Host, words: list[str]) -> None:
    """Of an entry that says its names without its own, as for a second key: no CA is asked for that, and it is said."""
    label, key, csr = f"{NAME}-rsa", host.key, host.folder / "label.csr"
    host.configure()
    host.config.write_text(host.config.read_text().replace(f'name = "{NAME}"', f'name = "{label}"\nnames = ["{NAME}"]'))
    done = host.agent("request", label, *words, "--csr", str(csr))
    assert (done.code, names_of(csr)) == (0, [NAME]), done.err
    assert f"note {label} is not among `names` in agent.toml: the CSR is not for it" in done.out
    made = host.agent("request", label, *words, "--csr", str(csr), "--san", label, "--json")
    assert (made.code, set(names_of(csr))) == (0, {NAME, label}), made.err
    assert key.exists()


@pytest.mark.parametrize(
    ("content", "mode", "code", "sentence"),
    [
        ("not a key", 0o600, 1, "it is not a private key in PEM"),
        ("not a key", 0o644, 2, "its mode is 0644"),
    ],
)
def test_a_file_that_is_no_key(bare: Host, content: str, mode: int, code: int, sentence: str) -> None:
    """What is in the key's place and is none is left alone."""
    file = bare.folder / "k.pem"
    file.write_text(content)
    file.chmod(mode)
    done = bare.agent("request", NAME, "--key", "k.pem")
    assert (done.code, sentence in done.err) == (code, True), done.err
    assert file.read_text() == content


@pytest.mark.parametrize("command", [["-aes256", "2048"], ["1024"]])
def test_an_encrypted_or_weak_key(bare: Host, command: list[str]) -> None:
    """Neither is used: a service cannot start with the one, a CA refuses the other."""
    file = bare.folder / "k.pem"
    arguments = (
        ["openssl", "genrsa", "-passout", "pass:x", *command] if "2048" in command else ["openssl", "genrsa", *command]
    )
    file.write_bytes(subprocess.run(arguments, capture_output=True, check=True).stdout)
    file.chmod(0o600)
    done = bare.agent("request", NAME, "--key", "k.pem")
    assert done.code == 1
    assert ("is encrypted" if "2048" in command else "RSA with 1024 bits") in done.err


@pytest.mark.parametrize("name", ["www", "a..b", "a-.example.test", "1.2.3.400", "ü.example.test", "a_b.example.test"])
def test_a_name_that_is_none(bare: Host, name: str) -> None:
    """Wrong usage, a sentence, no file."""
    done = bare.agent("request", name, "--key", "k.pem")
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert not (bare.folder / "k.pem").exists()


def test_a_request_for_several_names(bare: Host) -> None:
    """They may be those of one certificate or of several: refused, with both ways, before a key is made."""
    done = bare.agent("request", NAME, "b.example.test")
    assert done.code == 2
    assert f"`request {NAME} --san b.example.test`" in done.err
    assert "for several: one request for each" in done.err
    assert not list(bare.folder.glob("*.csr"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's commands are worth a stranger's words")
def test_request_follows_no_path_of_somebody_else(bare: Host) -> None:
    """An agent.toml that has NAME says where root writes the key. A command line that says all needs none."""
    folder, key = bare.folder / "shared", bare.folder / "his" / "www.key"
    folder.mkdir()
    config = folder / "agent.toml"
    entry = f'[[certificate]]\nname = "{NAME}"\nkey = "{key}"\nprobe = []\nactivate = []\n'
    entry += f'[certificate.files]\nfullchain = "{bare.folder}/www.pem"\n'
    config.write_text(f'state_dir = "{bare.folder}/state"\n[source]\nurl = "sqlite:///{bare.folder}/none.db"\n{entry}')
    os.chown(folder, 65534, -1)
    done = bare.agent("--config", str(config), "request", NAME, "--csr", "-")
    assert (done.code, key.exists()) == (2, False)
    assert f"nobody, to whom {folder} belongs, can make root run any command by {config}" in done.err
    assert bare.agent("--config", str(config), "request", NAME, "--csr", "-", "--obey-owner").code == 0
    assert key.exists()
    own = str(bare.folder / "own.key")
    assert bare.agent("--config", str(config), "request", "other.example.test", "--key", own, "--csr", "-").code == 0
