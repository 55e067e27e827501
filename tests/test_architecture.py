"""The shape of the code, from its own imports: floors, borders, sizes. A rule that nothing checks is a wish."""

import ast
import graphlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from tests.modules import PACKAGES, Module, called, ours, read, within

ROOT = Path(__file__).parents[1]
LARGEST_FILE, LONGEST_FUNCTION = 320, 50

# The floors, highest first. A folder is on one floor; a module imports its own floor and those below, never one above.
FLOORS = [
    ["issuer.cli", "issuer.commands", "agent.cli", "agent.commands"],
    ["issuer.loops"],
    ["issuer.journey", "issuer.check", "agent.journey"],
    [
        "issuer.ca",
        "issuer.dns",
        "issuer.webroot",
        "issuer.store",
        "issuer.logs",
        "issuer.notify",
        "issuer.page",
        "issuer.transparency",
        "issuer.trust",
        "agent.host",
        "agent.remote",
        "agent.source",
        "migrations",
    ],
    ["agent.settings"],
    ["issuer.rules", "agent.rules"],
    ["issuer.model", "agent.model"],
    ["issuer.ground"],
    ["common"],
]
FACADES = ("issuer", "agent", "issuer.__main__", "agent.__main__")  # at the top of a package beside the floors
PURE = ["issuer.rules", "issuer.model", "agent.rules", "agent.model"]
ADAPTERS = FLOORS[3]
SEES_NO_ADAPTER = ["issuer.journey", "issuer.loops", "agent.journey"]

# What acts: it touches the machine, the network, the clock or chance. A pure module imports none of it.
ACTS = {
    "asyncio", "atexit", "fcntl", "glob", "http.client", "http.server", "logging", "multiprocessing", "os", "queue",
    "random", "sched", "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket", "socketserver",
    "sqlite3", "ssl", "subprocess", "sys", "tempfile", "threading", "time", "uuid",
    "acme", "alembic", "dns", "josepy", "paramiko", "prometheus_client", "pymysql", "requests", "sqlalchemy",
    "structlog", "urllib3",
    "common.command_line", "common.config_file", "common.egress.reach", "common.egress.show", "common.files",
    "common.folders", "common.http_exchange", "common.late_log", "common.log", "common.owners", "common.monitoring",
    "common.probe.eap", "common.probe.look",
    "common.probe.show", "common.probe.staple", "common.probe.starttls", "common.probe.survey", "common.probe.wire",
    "common.replacing", "common.resolv_conf", "common.revocation.ask", "common.revocation.fetch", "common.ssh",
    "common.ssh_host_keys", "common.start", "common.streams", "common.threads",
}  # fmt: skip

# Who may import an outside library: one file or folder, so that only it knows the library's types and errors.
IMPORTERS = {
    "acme": ["issuer.ca"],
    "josepy": ["issuer.ca"],
    "urllib3": ["issuer.ca"],
    "dns": ["issuer.dns"],
    "sqlalchemy": ["issuer.store", "migrations"],
    "alembic": ["issuer.store", "migrations"],
    "pymysql": ["issuer.store", "agent.source", "common.mysql_connection"],
    "paramiko": ["common.ssh", "issuer.webroot", "agent.remote"],
    "prometheus_client": ["issuer.loops.metrics"],
    "jinja2": ["issuer.page"],
    "markupsafe": ["issuer.page"],
    "dataclasses": ["common.dataclasses", "issuer"],
    "argparse": ["common.command_line", "issuer.cli", "issuer.commands", "agent.cli", "agent.commands"],
}
# Only here may an import wait for its command, or for the one case that needs a heavy library.
LAZY = [
    *("issuer.cli", "issuer.commands.challenge_types", "issuer.commands.held", "issuer.commands.staging"),
    *("common.command_line", "common.similar"),
    "common.dataclasses",
    *("agent.commands.wiring", "agent.journey.pause", "agent.journey.run", "agent.journey.update", "agent.source.open"),
    *("agent.host.state_folder", "common.probe.look", "common.probe.starttls"),
]
# The names of modules that are chosen at run time: the entry point that `start` is handed.
CHOSEN = ["common.start"]


def floor(name: str) -> int | None:
    """The floor of one of our modules, 0 is the lowest; None for a module that lies on none."""
    heights = range(len(FLOORS) - 1, -1, -1)
    return next((height for height, places in zip(heights, FLOORS, strict=True) if within(name, places)), None)


def faults(root: Path) -> list[str]:
    """Everything that breaks a rule, in sentences."""
    modules = read(root)
    rules = (
        _homeless,
        _upward,
        _impure,
        _strangers,
        _cycles,
        _outside,
        _unaware,
        _cut_sentences,
        _joined_facts,
        _sizes,
    )
    return [fault for rule in rules for fault in rule(modules)]


def _homeless(modules: dict[str, Module]) -> Iterator[str]:
    for name in modules:
        if floor(name) is None and name not in FACADES:
            yield f"{name} lies on no floor"


def _upward(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        own = floor(module.name)
        for target in sorted(ours(module.every)):
            height = floor(target)
            if own is not None and height is not None and height > own:
                yield f"{module.name} (floor {own}) imports {target} (floor {height})"


def _impure(modules: dict[str, Module]) -> Iterator[str]:
    """Rules and nouns import nothing that acts."""
    for module in modules.values():
        for target in sorted(module.all) if within(module.name, PURE) else []:
            if within(target, ACTS):
                yield f"{module.name} is pure and imports {target}, which acts"


def _strangers(modules: dict[str, Module]) -> Iterator[str]:
    """Issuer and agent never meet, common knows neither, and our own code is imported at the top of a file."""
    barred = {"issuer": ["agent"], "agent": ["issuer", "migrations"], "common": ["issuer", "agent", "migrations"]}
    for module in modules.values():
        for target in sorted(module.all):
            if within(target, barred.get(module.name.partition(".")[0], [])):
                yield f"{module.name} imports {target}"
        if module.late and not within(module.name, LAZY):
            yield f"{module.name} imports {', '.join(sorted(module.late))} inside a function"
        if "" in module.by_name and not within(module.name, CHOSEN):
            yield f"{module.name} imports a module whose name cannot be read here"


def _cycles(modules: dict[str, Module]) -> Iterator[str]:
    """No circle, also not of imports that are late, by name or for the type checker alone."""
    imports = {name: ours(module.every) - {name} for name, module in modules.items()}
    try:
        graphlib.TopologicalSorter(imports).prepare()
    except graphlib.CycleError as error:
        yield f"import cycle: {' → '.join(error.args[1])}"


def _outside(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        for target in sorted(module.all):
            allowed = IMPORTERS.get(target.partition(".")[0])
            if allowed is not None and not within(module.name, allowed):
                yield f"{module.name} imports {target}, which only {' and '.join(allowed)} may know"


def _unaware(modules: dict[str, Module]) -> Iterator[str]:
    """Journeys and loops see adapters through Protocols: the command line hands them in."""
    for module in modules.values():
        for target in sorted(module.every) if within(module.name, SEES_NO_ADAPTER) else []:
            if within(target, [*ADAPTERS, "sqlite3", "subprocess"]):
                yield f"{module.name} imports the adapter {target}"


_CUTTERS = {"removesuffix", "removeprefix", "partition", "rpartition", "startswith", "endswith", "split", "rsplit"}
_SENTENCES = {
    "what", "why", "hint", "detail", "reason", "sentence", "complaint", "last_error", "explanation", "words", "how",
    "verdict", "label", "held", "told", "message", "advice", "failure", "laggard", "str",
}  # fmt: skip

_FACTS = ("what", "why", "hint")


def _cut_sentences(modules: dict[str, Module]) -> Iterator[str]:
    """Nothing takes a sentence of ours apart: facts stay structured until they are shown."""
    for module in modules.values():
        for node in module.nodes:
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _CUTTERS):
                continue
            cut = node.func.value.func if isinstance(node.func.value, ast.Call) else node.func.value
            name = cut.attr if isinstance(cut, ast.Attribute) else getattr(cut, "id", "")
            of_words = any(isinstance(one, ast.Constant) and one.value in (": ", "; ", " (") for one in node.args)
            if name in _SENTENCES or of_words:
                yield f"{module.name}:{node.lineno} cuts a sentence: {ast.unparse(node)}"


# Where what, why and hint of an error may meet in one text: where it is shown, and in an OSError, which has one text.
RENDERS = ["issuer.commands", "agent.commands", "common.errors", "issuer.model.failure", "common.probe.eap"]


def _joined_facts(modules: dict[str, Module]) -> Iterator[str]:
    """Nothing below the border makes one sentence of what went wrong, why, and what to do about it."""
    for module in modules.values():
        for node in module.nodes if not within(module.name, RENDERS) else []:
            if isinstance(node, ast.JoinedStr):
                parts = [part.value for part in node.values if isinstance(part, ast.FormattedValue)]
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
                parts = [one for one in ast.walk(node) if isinstance(one, ast.expr)]
            elif isinstance(node, ast.Call) and called(node) == "join":
                parts = [one for argument in node.args for one in ast.walk(argument) if isinstance(one, ast.expr)]
            else:
                continue
            facts = {one.attr: one for one in parts if isinstance(one, ast.Attribute) and one.attr in _FACTS}
            whole = {ast.unparse(one) for one in parts} if isinstance(node, ast.JoinedStr) else set()
            if len(facts) > 1 or any(ast.unparse(one.value) in whole for one in facts.values()):
                yield f"{module.name}:{node.lineno} joins facts: {ast.unparse(node)}"


def _sizes(modules: dict[str, Module]) -> Iterator[str]:
    for module in modules.values():
        if module.lines > LARGEST_FILE:
            yield f"{module.name} has {module.lines} lines, more than {LARGEST_FILE}"
        if module.tree.body and not ast.get_docstring(module.tree):
            yield f"{module.name} does not say in a docstring what it is for"
        for node in module.nodes:
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
            package = {name.rpartition(".")[0]}
            todo |= ((ours(modules[name].all) | package) & set(modules)) - seen
        return seen

    by_both = reached("issuer") & reached("agent") | {"common"}
    assert {name for name in modules if within(name, ["common"])} <= by_both


def test_the_commands_named_as_text_exist() -> None:
    """Each cli.py names module and function of each command in quotes: no import would notice a slip."""
    modules = read(ROOT)
    for side in ("issuer", "agent"):
        calls = [node for node in modules[f"{side}.cli"].nodes if isinstance(node, ast.Call)]
        named = [call.args for call in calls if isinstance(call.func, ast.Name) and call.func.id == "_later"]
        assert len(named) > 5
        for module, function in named:
            assert_defined(modules[f"{side}.commands.{ast.literal_eval(module)}"].tree, function)


def assert_defined(tree: ast.Module, function: ast.expr) -> None:
    defined = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert not isinstance(function, ast.Constant) or function.value in defined


def test_offences_in_the_real_tree_are_found(tmp_path: Path) -> None:
    """A copy of the whole tree with lines more in it is not well, and each fault names its file."""
    offences = {
        "issuer/rules/renewal.py": "import socket",
        "issuer/model/orders.py": "import time",
        "issuer/journey/issue.py": "import issuer.store.orders",
        "issuer/store/orders.py": "import issuer.loops.run",
        "agent/rules/verify.py": "import os",
        "common/clock.py": "import issuer.model.errors",
        "issuer/rules/due.py": "import importlib\nimportlib.import_module('time')",
        "agent/rules/window.py": "import time",
        "issuer/journey/attempt.py": "def f(one):\n    return f'{one.what}: {one.why}'",
        "agent/journey/install.py": "def f(why):\n    return why.partition(': ')",
        "agent/journey/run.py": "x = 1\n" * 320,
        "issuer/loops/run.py": "def f():\n" + "    f()\n" * 50,
    }
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    for name, line in offences.items():
        with (tmp_path / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    found = faults(tmp_path)
    for name in offences:
        module = name.removesuffix(".py").replace("/", ".")
        assert any(fault.startswith(module) for fault in found), (module, found)
