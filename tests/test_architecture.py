"""The shape of the code, from its own imports: floors, borders, sizes. A rule that nothing checks is a wish."""

import ast
import graphlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("common", "issuer", "agent", "migrations")
LARGEST_FILE, LONGEST_FUNCTION = 400, 60

GROUND, PURE = 0, 1

# Floors of the design, highest first: a module may import its own floor and those below, never one above.
# All that is not named here is PURE: rules, nouns, and the Protocols by which journeys see adapters.
FLOORS = [
    (5, r"(issuer|agent)\.(cli|commands\.\w+)"),
    (5, r"agent\.show"),
    (4, r"issuer\.(run|crew)|issuer\.daemon\.(loop|intake|metrics)|agent\.run"),
    (3, r"issuer\.(issue|opening|staged|attempt|sweep|check\.(doctor|files|names|installation|zone_probe))"),
    (3, r"agent\.(install|roll_back|update|journey|request|init|status)"),
    (2, r"issuer\.(trust|(ca|dns|webroot|store)\.\w+)|issuer\.notify\.(desk|mail)|issuer\.daemon\.(listen|systemd)"),
    (2, r"migrations\..+"),
    (2, r"agent\.(source\.(mysql|sqlite|open)|live_files|state_folder|probe|commands|keys|interrupts)"),
    (GROUND, r"common\..+"),
]

# Who may import an outside library: one file or folder, so that only it knows the library's types and errors.
IMPORTERS = {
    "acme": ["issuer.ca"],
    "josepy": ["issuer.ca"],
    "urllib3": ["issuer.ca"],
    "dns": ["issuer.dns"],
    "sqlalchemy": ["issuer.store", "migrations"],
    "alembic": ["issuer.store", "migrations"],
    "pymysql": ["issuer.store", "agent.source"],
    "paramiko": ["issuer.webroot", "agent.target"],
    "prometheus_client": ["issuer.daemon.metrics"],
    "argparse": ["common.command_line", "issuer.cli", "issuer.commands", "agent.cli"],
}
JOURNEYS = [
    "issuer.issue",
    "issuer.attempt",
    "issuer.sweep",
    "issuer.run",
    "agent.install",
    "agent.roll_back",
    "agent.journey",
    "agent.update",
    "agent.run",
]
ADAPTERS = re.compile(
    r"issuer\.(ca|dns|webroot|store|notify\.(desk|mail))(\..+)?|agent\.(source\.(mysql|sqlite|open)|state_folder|probe|commands)|sqlite3|subprocess"
)
LAZY = re.compile(
    r"issuer\.(cli|commands\.held)|agent\.(cli|source\.mysql|look)"
)  # only here may an import wait for its command


@dataclass
class Module:
    """One file: what it imports at once, what it imports late, and its tree."""

    name: str
    tree: ast.Module
    lines: int
    now: set[str] = field(default_factory=set)
    late: set[str] = field(default_factory=set)

    @property
    def all(self) -> set[str]:
        """Everything it imports at any time."""
        return self.now | self.late


def read(root: Path) -> dict[str, Module]:
    """Every module below the packages of *root*, by name, with its imports resolved to modules."""
    files = {_name(root, file): file for package in PACKAGES for file in sorted((root / package).rglob("*.py"))}
    modules = {}
    for name, file in files.items():
        text = file.read_text(encoding="utf-8")
        modules[name] = Module(name, ast.parse(text), text.count("\n"))
        for node, is_late in _imports(modules[name].tree):
            (modules[name].late if is_late else modules[name].now).update(_targets(node, set(files)))
    return modules


def _name(root: Path, file: Path) -> str:
    return ".".join(file.relative_to(root).with_suffix("").parts).removesuffix(".__init__")


def _imports(tree: ast.AST, *, late: bool = False) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements with whether they wait for a call. Those for the type checker alone do not count."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, late
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from _imports(
                node, late=late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            )


def _targets(node: ast.Import | ast.ImportFrom, known: set[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    for alias in node.names:
        inner = f"{node.module}.{alias.name}"
        yield inner if inner in known else str(node.module)


def within(name: str, places: list[str]) -> bool:
    """Is a module one of these, or inside one of these?"""
    return any(name == place or name.startswith(f"{place}.") for place in places)


def ours(names: set[str]) -> set[str]:
    """Those names that are our own modules."""
    return {name for name in names if within(name, list(PACKAGES))}


def floor(name: str) -> int:
    """The floor of one of our modules."""
    return next((number for number, pattern in FLOORS if re.fullmatch(pattern, name)), PURE)


def faults(root: Path) -> list[str]:
    """Everything that breaks a rule, in sentences."""
    modules = read(root)
    return [
        *_upward(modules),
        *_strangers(modules),
        *_cycles(modules),
        *_outside(modules),
        *_journeys(modules),
        *_sizes(modules),
    ]


def _upward(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        for target in sorted(ours(module.all)):
            if floor(target) > floor(module.name) > GROUND and "." in target:
                yield f"{module.name} (floor {floor(module.name)}) imports {target} (floor {floor(target)})"


def _strangers(modules: dict[str, Module]) -> Iterator[str]:
    """Issuer and agent never meet, common knows neither, and our own code is imported at the top of a file."""
    barred = {"issuer": ["agent"], "agent": ["issuer", "migrations"], "common": ["issuer", "agent", "migrations"]}
    for module in modules.values():
        for target in sorted(module.all):
            if within(target, barred.get(module.name.partition(".")[0], [])):
                yield f"{module.name} imports {target}"
        if module.late and not LAZY.fullmatch(module.name):
            yield f"{module.name} imports {', '.join(sorted(module.late))} inside a function"


def _cycles(modules: dict[str, Module]) -> Iterator[str]:
    try:
        graphlib.TopologicalSorter({name: ours(module.now) - {name} for name, module in modules.items()}).prepare()
    except graphlib.CycleError as error:
        yield f"import cycle: {' → '.join(error.args[1])}"


def _outside(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        for target in sorted(module.all):
            allowed = IMPORTERS.get(target.partition(".")[0])
            if allowed is not None and not within(module.name, allowed):
                yield f"{module.name} imports {target}, which only {' and '.join(allowed)} may know"


def _journeys(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        for target in sorted(module.all) if module.name in JOURNEYS else []:
            if ADAPTERS.fullmatch(target):
                yield f"the journey {module.name} imports the adapter {target}"


def _sizes(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if module.lines > LARGEST_FILE:
            yield f"{module.name} has {module.lines} lines, more than {LARGEST_FILE}"
        if module.tree.body and not ast.get_docstring(module.tree):
            yield f"{module.name} does not say in a docstring what it is for"
        for node in ast.walk(module.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONGEST_FUNCTION:
                    yield f"{module.name}.{node.name} has {length} lines, more than {LONGEST_FUNCTION}"


def test_the_code_keeps_the_shape_of_the_design() -> None:
    """Floors, borders, cycles, importers of libraries, journeys without adapters, sizes, docstrings."""
    assert faults(ROOT) == []


def test_common_holds_only_what_both_sides_use() -> None:
    """Each module of common is reached from the issuer and from the agent."""
    modules = read(ROOT)

    def reached(side: str) -> set[str]:
        todo, seen = {name for name in modules if within(name, [side])}, set[str]()
        while todo:
            name = todo.pop()
            seen.add(name)
            todo |= (ours(modules[name].all) & set(modules)) - seen
        return seen

    for name in modules:
        if within(name, ["common"]) and name != "common":
            assert name in reached("issuer") & reached("agent"), f"{name} is not used by both sides"


def test_the_commands_named_as_text_exist() -> None:
    """issuer/cli.py names module and function of each command in quotes: no import would notice a slip."""
    modules = read(ROOT)
    calls = [node for node in ast.walk(modules["issuer.cli"].tree) if isinstance(node, ast.Call)]
    named = [call.args for call in calls if isinstance(call.func, ast.Name) and call.func.id == "_later"]
    assert len(named) > 5
    for module, function in named:
        tree = modules[f"issuer.commands.{ast.literal_eval(module)}"].tree
        defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert not isinstance(function, ast.Constant) or function.value in defined


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("issuer/plan.py", "import issuer.store.orders", "floor 1"),
        ("issuer/dns/update.py", "from agent import verify", "imports agent"),
        ("common/files.py", "from issuer.errors import DnsError", "imports issuer.errors"),
        ("agent/verify.py", "def f():\n    import agent.model", "inside a function"),
        ("agent/verify.py", "import sqlalchemy.orm", "only issuer.store"),
        ("issuer/issue.py", "from issuer.ca import client", "the journey issuer.issue imports the adapter"),
        ("agent/install.py", "import subprocess", "the journey agent.install imports the adapter subprocess"),
        ("common/files.py", "from common import names", "import cycle: "),
        ("common/files.py", "x = 1\n" * 401, "has 402 lines"),
        ("common/files.py", "def f():\n" + "    f()\n" * 60, "files.f has 61 lines"),
    ],
)
def test_each_rule_can_fail(tmp_path: Path, name: str, text: str, expected: str) -> None:
    """A small tree with one fault in it is found to have just that fault."""
    tree = {"common/names.py": "import common.files", "issuer/ca/client.py": "", "issuer/store/orders.py": ""}
    tree |= {"issuer/errors.py": "", "agent/verify.py": "", "agent/model.py": "", name: text}
    tree["common/names.py"] = "import common.files" if "names" in text else ""
    for path, content in tree.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'"""What it is for."""\n{content}', encoding="utf-8")
    found = faults(tmp_path)
    assert len(found) == 1, found
    assert expected in found[0]


def test_a_module_without_a_docstring_is_found(tmp_path: Path) -> None:
    """Only an empty file may say nothing."""
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "__init__.py").touch()
    (tmp_path / "common" / "clock.py").write_text("x = 1\n", encoding="utf-8")
    assert faults(tmp_path) == ["common.clock does not say in a docstring what it is for"]
