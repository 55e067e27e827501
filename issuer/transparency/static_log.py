"""Reads a static Certificate Transparency log: from where the last look ended to its newest checkpoint.

Every entry is hashed into the tree that began at the last look. If the root that the log has signed comes out, it has
shown each entry, and has changed none that was there before.
"""

import time
from collections.abc import Callable

from issuer.model.config_watch import LogOfTransparency
from issuer.model.errors import TransparencyError
from issuer.model.transparency import Checkpoint, Entry
from issuer.rules.merkle import Tree, tree_of_text
from issuer.rules.static_ct import TILE, checkpoint, entries_of, hashes_of, tile_path
from issuer.transparency.http import get

_SECONDS = 60.0  # for one file
_OLDEST = 86400  # seconds: the maximum merge delay of public logs


class StaticLog:
    """Every method raises TransparencyError."""

    def __init__(self, settings: LogOfTransparency):
        self._settings = settings
        self.url = settings.url.rstrip("/")

    def read(self, before: str, each: Callable[[int, Entry], None]) -> str:
        """Call *each* with the number of every new entry and with the entry. *before*: what the last look returned, ""
        for the first one. Nothing that *each* was told counts if this raises."""
        head = self._checkpoint()
        if time.time() - head.signed_at > _OLDEST:
            raise TransparencyError(self.url, "its newest checkpoint is older than a day")
        try:
            tree = tree_of_text(before) if before else self._first(head)
        except ValueError as error:
            raise TransparencyError(self.url, "our own memory of it is damaged") from error
        if head.size < tree.size:
            raise TransparencyError(self.url, f"it has shrunk to {head.size} entries from {tree.size}")
        for number in range(tree.size // TILE, -(-head.size // TILE)):
            self._read_tile(number, min(TILE, head.size - number * TILE), tree, each)
        if tree.root != head.root:
            raise TransparencyError(self.url, "its entries are not those that it has signed")
        return tree.text

    def _checkpoint(self) -> Checkpoint:
        content = self._get("checkpoint")
        try:
            return checkpoint(content, self._settings.origin_line, self._settings.key)
        except ValueError as error:
            raise TransparencyError(self.url, str(error)) from error

    def _first(self, head: Checkpoint) -> Tree:
        """The tree from which the first look begins: the present one, or with `from_start` none."""
        tree = Tree()
        for level in range(5, -1, -1) if not self._settings.from_start else ():
            width = (head.size >> 8 * level) % TILE
            if width:
                tile = self._tile(str(level), head.size >> 8 * (level + 1), width)
                for node in hashes_of(tile, width):
                    tree.append(node, 8 * level)
        return tree

    def _read_tile(self, number: int, width: int, tree: Tree, each: Callable[[int, Entry], None]) -> None:
        content = self._tile("data", number, width)
        try:
            entries = entries_of(content, width)
        except ValueError as error:
            raise TransparencyError(self.url, f"the tile {number} of entries: {error}") from error
        for place, entry in enumerate(entries, start=number * TILE):
            if place >= tree.size:
                each(place, entry)
                tree.append(entry.leaf_hash)

    def _tile(self, level: str, number: int, width: int) -> bytes:
        """A tile; a whole one where the log has no such part any more."""
        content = get(f"{self.url}/{tile_path(level, number, width)}", _SECONDS)
        return self._get(tile_path(level, number)) if content is None else content

    def _get(self, path: str) -> bytes:
        content = get(f"{self.url}/{path}", _SECONDS)
        if content is None:
            raise TransparencyError(self.url, f"there is no {path}")
        return content
