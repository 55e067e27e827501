"""The authority of the tests makes certificates that verify, and keys that are closed."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import PolicyBuilder, Store

from tests.servers.authority import Authority


def test_an_authority_makes_chains_that_verify() -> None:
    """A strict verifier accepts leaf and intermediate, for DNS names and addresses, and refuses an expired leaf."""
    root = Authority("Test Root")
    below = root.intermediate("Test Intermediate")
    verifier = PolicyBuilder().store(Store([root.certificate])).build_server_verifier(x509.DNSName("www.example.test"))
    issued = below.issue(["www.example.test", "127.0.0.1"])
    assert len(verifier.verify(issued.certificate, [below.certificate])) == 3
    assert issued.chain_pem == below.pem
    assert root.issue(["a.test"]).chain_pem == b""
    old = below.issue(["www.example.test"], days=1, not_before=datetime.now(UTC) - timedelta(days=2))
    with pytest.raises(x509.verification.VerificationError):
        verifier.verify(old.certificate, [below.certificate])


def test_an_authority_takes_keys_and_writes_them_closed(tmp_path: Path) -> None:
    """A given key is used, and its file is readable by its owner only."""
    key = rsa.generate_private_key(65537, 2048)
    issued = Authority("Test Root").issue(["a" * 60 + ".example.test"], key=key)
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert issued.certificate.public_key().public_bytes(*spki) == key.public_key().public_bytes(*spki)
    files = issued.write(tmp_path)
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600
    assert files.fullchain.read_bytes() == issued.fullchain_pem
