"""The modules of a tree and what each imports, read from their text: nothing is run."""

import ast
import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = ("common", "issuer", "agent", "migrations")


@dataclass
class Module:
    """One file: what it imports at once, late, and for the type checker alone, its tree, and every node of that."""

    name: str
    tree: ast.Module
    nodes: Sequence[ast.AST]
    lines: int
    now: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)
    for_types: set[str] = field(default_factory=set)
    by_name: set[str] = field(default_factory=set)  # import_module("…"); "" where the name cannot be read

    @property
    def all(self) -> set[str]:
        """Everything it imports at any time."""
        return self.now | self.late | (self.by_name - {""})

    @property
    def every(self) -> set[str]:
        """The same with what it imports for the type checker alone: what a reader has to follow."""
        return self.all | self.for_types


def read(root: Path) -> dict[str, Module]:
    """Every module below the packages of *root*, by name, with its imports resolved to modules."""
    files = {_name(root, file): file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))}
    known, modules = set(files), {}
    for name, file in files.items():
        text = file.read_text(encoding="utf-8")
        nodes, imports, by_name = _parsed(text)
        tree = nodes[0]
        assert isinstance(tree, ast.Module)
        modules[name] = Module(name, tree, nodes, text.count("\n"), by_name=set(by_name))
        for node, kind in imports:
            getattr(modules[name], kind).update(_targets(node, known))
    return modules


@functools.cache
def _parsed(text: str) -> tuple[list[ast.AST], list[tuple[ast.Import | ast.ImportFrom, str]], set[str]]:
    """The nodes of its tree, its import statements with the field of Module for them, and what it imports by name."""
    nodes = list(ast.walk(ast.parse(text)))  # once for every rule: a walk takes longer than to parse
    return nodes, list(_imports(nodes[0])), set(_imported_by_name(nodes))


def _name(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imports(tree: ast.AST, kind: str = "now") -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Import statements with the field of Module for them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, kind
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from _imports(node, "for_types")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _imports(node, "late")
        elif not isinstance(node, ast.expr):  # no expression holds a statement
            yield from _imports(node, kind)


def _targets(node: ast.Import | ast.ImportFrom, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        yield inner if inner in known else str(node.module)


def _imported_by_name(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """What import_module and __import__ load: the name, the package before the first gap of an f-string, or ""."""
    for node in nodes:
        if isinstance(node, ast.Call) and called(node) in ("import_module", "__import__"):
            name = node.args[0] if node.args else None
            if isinstance(name, ast.JoinedStr) and name.values:
                name = name.values[0]
            yield name.value.rstrip(".") if isinstance(name, ast.Constant) and isinstance(name.value, str) else ""


def called(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def within(name: str, places: Iterable[str]) -> bool:
    """Is a module one of these, or inside one of these?"""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def ours(names: set[str]) -> set[str]:
    """Those names that are our own modules."""
    return {name for name in names if within(name, PACKAGES)}
