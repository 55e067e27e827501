"""The tree of a log, its checkpoint, its tiles, and which certificates concern us: against the specification."""

import base64
import hashlib
from pathlib import Path

import pytest

from issuer.model.transparency import OurNames
from issuer.rules.merkle import Tree, leaf_hash, tree_of_text
from issuer.rules.static_ct import checkpoint, entries_of, tile_path
from tests.servers.authority import Authority
from tests.servers.ct_log import CtLog, mth


@pytest.mark.parametrize("size", [0, 1, 2, 3, 7, 8, 255, 256, 257, 700])
def test_the_root_of_a_tree(size: int) -> None:
    """That of RFC 6962's own definition, also after the tree was written down in between."""
    leaves = [f"{number}".encode() for number in range(size)]
    tree = Tree()
    for number, leaf in enumerate(leaves):
        tree.append(leaf_hash(leaf))
        if number == size // 2:
            tree = tree_of_text(tree.text)
    assert (tree.root, tree.size) == (mth(leaves), size)


def test_the_path_of_a_tile() -> None:
    """The examples of the specification."""
    assert tile_path("0", 1234067) == "tile/0/x001/x234/067"
    assert tile_path("data", 0, 44) == "tile/data/000.p/44"
    assert tile_path("data", 1000) == "tile/data/x001/000"


@pytest.fixture
def log(tmp_path: Path) -> CtLog:
    log = CtLog(tmp_path, "log.example.com/2026")
    log.add(Authority("CA").issue(["www.example.test"]).certificate)
    log.publish()
    return log


def test_a_checkpoint(log: CtLog) -> None:
    content = (log.folder / "checkpoint").read_bytes()
    assert checkpoint(content, log.origin, log.key).size == 1


def test_a_checkpoint_that_somebody_else_has_made(log: CtLog, tmp_path: Path) -> None:
    """Of another log, with another key, with another size; and what is none at all."""
    content = (log.folder / "checkpoint").read_bytes()
    other = CtLog(tmp_path / "other", log.origin)
    root = base64.b64encode(hashlib.sha256(b"x").digest())
    for changed, origin, key in [
        (content, "log.example.com/2027", log.key),
        (content, log.origin, other.key),
        (content.replace(b"\n1\n", b"\n2\n"), log.origin, log.key),
        (content.replace(content.split(b"\n")[2], root), log.origin, log.key),
        (content.partition(b"\n\n")[0], log.origin, log.key),
        (content.partition("— log".encode())[0], log.origin, log.key),
        (b"\xff", log.origin, log.key),
        (b"", log.origin, log.key),
    ]:
        with pytest.raises(ValueError, match="its checkpoint"):
            checkpoint(changed, origin, key)


def test_entries_that_are_cut_off(log: CtLog) -> None:
    content = (log.folder / "tile/data/000.p/1").read_bytes()
    (entry,) = entries_of(content, 1)
    assert entry.certificate is not None
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"cut off|not known"):
            entries_of(content[:length], 1)


OURS = OurNames(frozenset(["www.example.test", "*.shop.test"]), frozenset(["own.test"]))


@pytest.mark.parametrize(
    ("name", "is_ours"),
    [
        ("www.example.test", True),
        ("*.example.test", True),
        ("example.test", False),
        ("other.example.test", False),
        ("a.www.example.test", False),
        ("*.shop.test", True),
        ("any.shop.test", True),
        ("a.any.shop.test", False),
        ("shop.test", False),
        ("own.test", True),
        ("a.b.own.test", True),
        ("*.own.test", True),
        ("disown.test", False),
        ("", False),
    ],
)
def test_which_names_concern_us(name: str, is_ours: bool) -> None:
    assert OURS.among([name, "unrelated.test"]) == ([name] if is_ours else [])
