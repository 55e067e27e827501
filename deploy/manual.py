"""The manual that the build adds to the wheel: for each program a man page and the completions of three shells, made
from the words of its command line. They lie in common/manual; `init --system` links them to where the system looks."""

import importlib
import sys
from argparse import ArgumentParser
from pathlib import Path

import shtab
from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]
from setuptools.command.build_py import build_py  # type: ignore[import-untyped]

SHELLS = ("bash", "zsh", "fish")


class BuildWithManual(build_py):  # type: ignore[misc]
    """The build of the modules, and then of the manual."""

    def run(self) -> None:
        """Without the manual where nothing is built, as for an editable install."""
        super().run()
        if not self.editable_mode:
            write(Path(self.build_lib) / "common" / "manual")


def write(folder: Path) -> None:
    """Write PROGRAM.1, PROGRAM.bash, PROGRAM.zsh and PROGRAM.fish into *folder*, for both programs."""
    sys.path.insert(0, str(Path(__file__).parents[1]))  # pip builds where nothing of ours is to be found
    version: str = importlib.import_module("common").VERSION
    line = importlib.import_module("common.command_line")
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("issuer", "agent"):
        parser: ArgumentParser = importlib.import_module(f"{part}.cli").build().parser
        page = Manpage(parser)
        page.manual, page.source = "certfleet", f"certfleet {version}"
        page.description, parser.description = parser.description, None
        lines = [line.replace("\\", "\\\\") for some in line.examples(parser.prog).values() for line in some]
        page.add_section("examples", "=", "\n".join([".nf", *lines, ".fi"]))
        (folder / f"{parser.prog}.1").write_text(f"{page}\n", encoding="utf-8")
        for shell in SHELLS:
            (folder / f"{parser.prog}.{shell}").write_text(shtab.complete(parser, shell=shell), encoding="utf-8")
