"""The parts that both command lines share: common options, exit codes, how errors and reports leave the process."""

import argparse
import functools
import itertools
import json
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

from common import VERSION
from common.clock import parse_duration
from common.errors import CertfleetError, UsageError, render
from common.late_log import configure_later
from common.similar import similar
from common.streams import steady_streams
from common.terminal import PROGRESS, Colour, coloured
from common.text import one_line

_LONGEST_WORD = 4096  # characters, as of a path
_PARTS = 10_000  # words and signs of a JSON document at once
Handler = Callable[[argparse.Namespace], int]


class CommandGroup:
    """The *commands* that follow one word, as argparse's subparsers."""

    def __init__(self, commands: Any):
        self._commands = commands

    def command(self, name: str, handler: Handler, help_text: str, *, reports: bool = False) -> argparse.ArgumentParser:
        """Add a command; *reports* gives it --json. *handler* returns the exit code."""
        parser: argparse.ArgumentParser = self._commands.add_parser(name, help=help_text, description=help_text)
        _common_options(parser)
        if reports:
            parser.add_argument("--json", action="store_true", help="print one JSON document instead of text")
        parser.set_defaults(handler=handler, json=False)
        return parser


class CommandLine(CommandGroup):
    """An argparse tree in which the common options work before and after the command word."""

    def __init__(self, program: str, description: str, default_config: str):
        self._default_config = Path(default_config)
        self.parser = _Parser(prog=program, description=description)
        self.parser.add_argument("--version", action="version", version=f"{program} {VERSION}")
        _common_options(self.parser)
        self.parser.set_defaults(quiet=False, verbose=0, plain_log=False)
        super().__init__(self.parser.add_subparsers(title="commands", metavar="COMMAND", required=True))

    def group(self, name: str, help_text: str) -> CommandGroup:
        """Add a word that has commands of its own, like ``db upgrade``."""
        parser = self._commands.add_parser(name, help=help_text, description=help_text)
        return CommandGroup(parser.add_subparsers(title="commands", metavar="COMMAND", required=True))

    def run(self, arguments: Sequence[str] | None = None) -> int:
        """Parse, run the command, and turn every error into a sentence and an exit code. A traceback is shown only with
        -v, for a fault of our own. A failed write to stdout does not abort the command; it is reported at its end (exit
        code 1)."""
        # Libraries warn of odd certificates, such as one with C=Germany, on standard error, which cron mails. The
        # person who runs the command cannot mend them. With `python -W` a developer sees every other kind of warning.
        warnings.simplefilter("ignore", UserWarning if sys.warnoptions else Warning)
        with steady_streams() as out:
            code = self._run(sys.argv[1:] if arguments is None else arguments)
            PROGRESS.end()
            out.flush()
            if out.lost is None:
                return code
            if not isinstance(out.lost, BrokenPipeError):  # a reader like `| head` went away on purpose
                complain(*render(_unsaid(out.lost)))
            return code or 1

    def _run(self, words: Sequence[str]) -> int:
        fault = _fault(words)
        if fault is not None:
            complain(*render(fault))
            return fault.exit_code
        try:
            parsed = self.parser.parse_args(words)
        except SystemExit as stop:  # argparse has printed its own message
            return int(stop.code or 0)
        parsed.config = Path(getattr(parsed, "config", os.environ.get("CERTFLEET_CONFIG")) or self._default_config)
        verbosity = -1 if parsed.quiet else parsed.verbose
        configure_later(verbosity, "plain" if parsed.plain_log else "")
        PROGRESS.is_wanted = verbosity >= 0
        try:
            return int(parsed.handler(parsed))
        except CertfleetError as error:
            complain(*render(error))
            return error.exit_code
        except KeyboardInterrupt:
            complain("interrupted")
            return 130
        except Exception as error:  # the border: no traceback for a fault of ours
            complain(
                f"error: a fault in certfleet itself: {type(error).__name__}: {error}",
                "  what to do: run again with -v and report what it prints",
            )
            if verbosity > 0:
                raise
            return 1


def _unsaid(why: OSError | ValueError) -> CertfleetError:
    reason = getattr(why, "strerror", None) or str(why)
    hint = "look at free space where the output goes; the command itself went on to its end"
    return CertfleetError("standard output could not be written", why=reason, hint=hint)


def _fault(words: Sequence[str]) -> UsageError | None:
    """The error in *words* before argparse sees them."""
    try:
        "".join(words).encode()
    except UnicodeEncodeError:
        return UsageError("an argument is not UTF-8", hint="write names and paths in UTF-8")
    if any(len(word) > _LONGEST_WORD for word in words):
        return UsageError(f"an argument is longer than {_LONGEST_WORD} characters", hint="nothing of ours is so long")
    if any(re.fullmatch("(--[a-z-]+=)?", word) for word in words):  # it must not pass for an absent option
        return UsageError("an argument is empty", hint="give a value, or leave the option out; is a variable unset?")
    return None


class _Formatter(argparse.HelpFormatter):
    """argparse makes one for each option, help or not, and imports shutil and three compressors to know the width."""

    def __init__(self, prog: str):
        super().__init__(prog, width=_terminal_width() - 2)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """A line end stays where it is, and so do the blanks at the beginning of a line."""
        lines = [(line[: len(line) - len(line.lstrip())], line) for line in text.splitlines()]
        return "\n".join(super(_Formatter, self)._fill_text(line, width, indent + blanks) for blanks, line in lines)


@functools.cache
def _terminal_width() -> int:
    """Columns of the terminal, 80 where there is none."""
    try:
        return int(os.environ.get("COLUMNS", "0")) or os.get_terminal_size(1).columns or 80
    except (ValueError, OSError):
        return 80


class _Parser(argparse.ArgumentParser):
    """argparse repeats the words that were typed; here they are escaped, so that a pasted name cannot steer the
    terminal."""

    def __init__(self, **options: Any):
        super().__init__(**options, formatter_class=_Formatter, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        super().error(one_line(message))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """argparse's own message repeats all forty commands."""
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = similar(str(value), known)
            also = f"did you mean {near}?" if near else f"choose from {', '.join(known)}"
            raise argparse.ArgumentError(action, f"there is no {str(value)!r}; {also}")

    def format_help(self) -> str:
        program, _, command = self.prog.partition(" ")
        lines = [f"  {line}" for line in examples(program).get(command, [])]
        self.epilog = "\n".join(["examples:", *lines]) if lines else None
        return super().format_help()


def examples(program: str) -> dict[str, list[str]]:
    """The examples of *program* by its commands ("db upgrade"; "" has those of the whole): command lines, the most
    usual first."""
    import tomllib  # noqa: PLC0415 - for help only
    from importlib import resources  # noqa: PLC0415

    file = resources.files(f"{program.removeprefix('certfleet-')}.commands").joinpath("examples.toml")
    commands: dict[str, list[str]] = tomllib.loads(file.read_text(encoding="utf-8"))
    return {command: [f"{program} {line}" for line in lines] for command, lines in commands.items()}


def add_nagios(command: argparse.ArgumentParser) -> None:
    """The option `--nagios`, whose commands end by :func:`common.monitoring.as_plugin`."""
    text = "the one line of a monitoring plugin, with its exit codes: 0 ok, 1 warning, 2 critical, 3 unknown"
    command.add_argument("--nagios", action="store_true", help=text)


def add_probe(line: CommandLine, handler: Handler) -> None:
    """The command `probe`, which both sides have."""
    probe = line.command("probe", handler, "show which certificate a live socket serves", reports=True)
    text = "https://host[:port], smtp://host, … (docs/probe.md)"
    probe.add_argument("target", nargs="+", metavar="TARGET", help=text)
    text = "ask each target for these names instead of its own, one after the other"
    probe.add_argument("--sni", default="", metavar="NAME,NAME", help=text)
    text = "look so often, and tell each failure with its time, and the slowest handshake"
    probe.add_argument("--repeat", type=_count, default=1, metavar="NUMBER", help=text)
    text = "the time from one round of --repeat to the next (1m)"
    probe.add_argument("--every", type=_duration, default=None, metavar="TIME", help=text)
    add_nagios(probe)
    text = "write the numbers into this file too, for the textfile collector of Prometheus' node exporter"
    probe.add_argument("--textfile", type=Path, default=None, metavar="FILE", help=text)


def _count(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999999")
    return int(text)


def _duration(text: str) -> int:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    if not seconds:
        raise argparse.ArgumentTypeError("without a pause, a service takes many looks for an attack")
    return seconds


def say(*lines: str) -> None:
    """Output for the person or program that runs the command. Each argument is one line on the screen, whatever is in
    it: the words in it may be the database's."""
    _print(map(one_line, lines), sys.stdout)


def complain(*lines: str) -> None:
    """Print trouble on standard error, where cron and people look for it. Lines as in :func:`say`."""
    _print(map(one_line, lines), sys.stderr)


def raise_all(errors: Sequence[CertfleetError]) -> None:
    """Raise the last of *errors*, after a complaint about each other one; nothing where there is none."""
    for error in errors[:-1]:
        complain(*render(error))
    for error in errors[-1:]:
        raise error


def say_coloured(lines: Sequence[tuple[str, Colour]]) -> None:
    """As :func:`say`, each line in its colour where standard output is a terminal."""
    _print(coloured(lines), sys.stdout)


def _print(lines: Iterable[str], stream: TextIO) -> None:
    PROGRESS.clear()
    print("\n".join(lines), file=stream, flush=True)


def report(document: Any) -> None:
    """Print *document* as JSON, in parts: the whole of a large one takes much memory. JSON escapes every character but
    DEL that is none to show."""
    PROGRESS.clear()
    parts = json.JSONEncoder(indent=2, sort_keys=True, default=str).iterencode(document)
    while some := "".join(itertools.islice(parts, _PARTS)):
        sys.stdout.write(some.replace("\x7f", "\\u007f"))
    sys.stdout.write("\n")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a plain text table with columns as wide as their content. Two blanks part columns, so that a cell
    with two cannot look like several."""
    lines = [[one_line(cell).replace("  ", "\\x20\\x20") for cell in row] for row in [head, *rows]]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def _common_options(parser: argparse.ArgumentParser) -> None:
    # SUPPRESS: an option that is not given must not overwrite one given on the other side of the command word
    absent: Any = argparse.SUPPRESS
    parser.add_argument("--config", metavar="FILE", default=absent, help="configuration file (or CERTFLEET_CONFIG)")
    parser.add_argument(
        "-v", "--verbose", action="count", default=absent, help="log what happens; twice for everything"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", default=absent, help="log errors only; a run says only what is not well"
    )
    text = "log in lines for people where the log is not a terminal (default: JSON)"
    parser.add_argument("--plain-log", action="store_true", default=absent, help=text)
