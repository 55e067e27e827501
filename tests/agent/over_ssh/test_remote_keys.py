"""The keys of a host without an agent: what its shell and its programs make of the scripts about them."""

from pathlib import Path

import pytest

from agent.remote.keys import RemoteKeys
from common.errors import FileError, RefusedError
from tests.agent.over_ssh.there import There


@pytest.mark.parametrize("shell", ["dash", "bash"])
@pytest.mark.parametrize("name", ["keys of w.pem", "its'.pem", "$HOME;`id`.pem", '"\\.pem'])
def test_a_key_with_an_odd_name(tmp_path: Path, shell: str, name: str) -> None:
    """It is made, and nothing else is left, nor removed: least of all a file whose name is that up to a blank."""
    other = tmp_path / "my"
    other.touch()
    file = tmp_path / "my own" / name
    made = RemoteKeys(There(shell)).create(file, "ecdsa-p256")
    assert made.key_type == "ecdsa-p256"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [*file.parent.iterdir()] == [file]
    assert other.exists()


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_key_that_is_there_stays(tmp_path: Path, shell: str) -> None:
    """Also where it came after the look whether there is one; what was made beside it goes."""
    file = tmp_path / "key of w.pem"
    file.write_bytes(b"precious")
    with pytest.raises(FileError, match="cannot make the key"):
        RemoteKeys(There(shell)).create(file, "ecdsa-p256")
    assert file.read_bytes() == b"precious"
    assert [*tmp_path.iterdir()] == [file]


@pytest.mark.parametrize(
    ("missing", "said", "why"),
    [
        ("stat", "exit 0", ""),
        ("stat", "echo 'stat: unrecognized option' >&2; exit 1", "stat: unrecognized option"),
        ("stat", "echo 'stat: not found' >&2; exit 127", "stat: not found"),
        ("openssl", "echo 'openssl: not found' >&2; exit 127", "openssl: not found"),
    ],
)
def test_a_host_that_lacks_a_program(tmp_path: Path, missing: str, said: str, why: str) -> None:
    """As an old one whose `stat` has no -c: the key cannot be looked at, and the hint names that program."""
    (tmp_path / missing).write_text(f"#!/bin/sh\n{said}\n")
    (tmp_path / missing).chmod(0o755)
    file = tmp_path / "key.pem"
    file.touch(mode=0o600)
    with pytest.raises(RefusedError, match="cannot be looked at") as caught:
        RemoteKeys(There(programs=tmp_path)).load(file)
    assert why in caught.value.why
    assert missing in caught.value.hint
    assert ("openssl" in caught.value.hint) is (missing == "openssl")
