"""Certificates of which the X.509 library warns: no word of that reaches standard error, where cron would mail it."""

import os
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from tests.agent.host import Host
from tests.issuer.box import Box
from tests.issuer.signing_requests import csr
from tests.servers.authority import Authority, Issued
from tests.servers.database import SqliteDatabase
from tests.servers.forks import forks

NAME = "www.example.test"
ODD = {
    "C=Germany": {NameOID.COUNTRY_NAME: "Germany", NameOID.COMMON_NAME: "CA"},
    "long": {NameOID.COMMON_NAME: "x" * 236},
}
OF_ALL = Authority("Root")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # of this process, which makes those certificates


def said(package: str, config: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, output and standard error of a command in a process of its own, which shows the same warnings as an
    interpreter without -W."""
    program = f"import sys, warnings; warnings.resetwarnings(); from {package}.cli import main; sys.exit(main())"
    done = forks(package).run(program, [*words, "--config", str(config)], folder=config.parent, environment=os.environ)
    return done.code, done.out, done.err


def issued_by(name: str, request: bytes) -> Issued:
    """A certificate by a CA with one of the odd names."""
    subject = x509.Name([x509.NameAttribute(oid, value, _validate=False) for oid, value in ODD[name].items()])
    return OF_ALL.intermediate("", subject=subject).sign(request)


@pytest.mark.parametrize("name", ODD)
def test_the_issuer_says_nothing_of_it(name: str, tmp_path: Path) -> None:
    """Neither when the certificate comes in nor when it is looked at."""
    box = Box(tmp_path / "box", SqliteDatabase(tmp_path))
    box.set_up()
    issued = issued_by(name, csr([NAME]))
    files = issued.write(tmp_path / "odd")
    pair = ("--crt", str(files.cert), "--chain", str(files.chain))
    for words in (["import", NAME, *pair], ["status", NAME], ["status", "--json"], ["-q", "run"], ["check", NAME]):
        code, out, err = said("issuer", box.config, *words)
        assert "arning" not in out + err
        assert (code, err) == (0, "") or words[0] == "check"


@pytest.mark.parametrize("name", ODD)
def test_the_agent_says_nothing_of_it(name: str, tmp_path: Path) -> None:
    """Neither at the install nor at the next look."""
    host = Host(tmp_path / "host")
    host.make_key()
    host.put_placeholder()
    host.roots.write_bytes(OF_ALL.pem)
    host.configure()
    issued = issued_by(name, (host.folder / "host.csr").read_bytes())
    host.offer(issued.cert_pem, issued.chain_pem)
    for words in (["run", "--json"], ["run"], ["run", "-q"], ["status"]):
        code, out, err = said("agent", host.config, *words)
        assert (code, "arning" in out + err) == (0, False), out + err
    assert host.fullchain.read_bytes() == issued.fullchain_pem


def test_an_error_is_said_all_the_same(tmp_path: Path) -> None:
    """A log of ours is no warning of a library."""
    host = Host(tmp_path / "host")
    host.make_key()
    host.configure()
    strange = issued_by("C=Germany", csr([NAME], number=7))
    host.offer(strange.cert_pem, strange.chain_pem)
    code, out, err = said("agent", host.config, "run", "-q")
    assert code == 1
    assert "another key" in out + err
