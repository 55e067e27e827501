"""The tree of a log (RFC 6962 §2.1) as a growing list of whole subtrees: enough to know its root. Pure."""

import hashlib
from collections.abc import Iterable

from common.dataclasses import dataclass, field


def leaf_hash(leaf: bytes) -> bytes:
    """The SHA-256 of an entry (a MerkleTreeLeaf, RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


@dataclass(slots=True)
class Tree:
    """*subtrees*: (height, hash) of each whole subtree, from left to right; heights fall."""

    subtrees: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def size(self) -> int:
        """The number of entries."""
        return sum(1 << height for height, _ in self.subtrees)

    def append(self, node: bytes, height: int = 0) -> None:
        """Add an entry by its hash, or a whole subtree of that *height*, at the right."""
        while self.subtrees and self.subtrees[-1][0] == height:
            node = _above(self.subtrees.pop()[1], node)
            height += 1
        self.subtrees.append((height, node))

    @property
    def root(self) -> bytes:
        """The SHA-256 of the whole tree, which a log signs; that of no octets for an empty tree."""
        if not self.subtrees:
            return hashlib.sha256().digest()
        *left, (_, found) = self.subtrees
        for _, node in reversed(left):
            found = _above(node, found)
        return found

    @property
    def text(self) -> str:
        """The subtrees in one line, to be kept: "height:hash" of each, hash in hex."""
        return " ".join(f"{height}:{node.hex()}" for height, node in self.subtrees)


def tree_of_text(text: str) -> Tree:
    """The tree of :attr:`Tree.text`. Raises ValueError for any other text."""
    pairs: Iterable[list[str]] = (word.split(":") for word in text.split())
    return Tree([(int(height), bytes.fromhex(node)) for height, node in pairs])


def _above(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
