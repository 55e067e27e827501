"""Secrets that the configuration names, each read by the loader of those who use it, whether a certificate needs it
today or not: a key for the one sub-zone of next year, or for an account that is not registered yet, fails at night.

Account keys, passwords and bundles are read where their server is looked at.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from common.errors import CertfleetError
from issuer.ca.account import load_binding_key
from issuer.journey.solver import CheckableSolver
from issuer.model.config import Settings
from issuer.rules.findings import Line, bad_lines, ok


def file_lines(settings: Settings, solvers: Iterable[CheckableSolver]) -> list[Line]:
    """One finding for each file, or for each thing that is wrong with it."""
    lines = []
    for ca in settings.authorities:
        lines += _read(f"CA {ca.directory}", ca.eab_hmac_file, load_binding_key)
    for solver in solvers:
        for subject, file, load in solver.files():
            lines += _read(subject, file, load)
    return lines


def _read(subject: str, file: Path | None, load: Callable[[Path], object]) -> list[Line]:
    if file is None:
        return []
    try:
        load(file)
    except CertfleetError as error:
        return bad_lines(subject, error)
    return [ok(subject, f"{file} is usable")]
