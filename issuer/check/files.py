"""Findings about the secret files in the configuration, each read by its own loader.

Files are read also if no certificate needs them today. Account keys, passwords and CA bundles are read elsewhere, with
the server that they belong to.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from common.errors import CertfleetError
from issuer.ca.account import load_binding_key
from issuer.journey.solver import CheckableSolver
from issuer.model.config import Settings
from issuer.rules.findings import Line, bad_lines, ok


def file_lines(settings: Settings, solvers: Iterable[CheckableSolver]) -> list[Line]:
    """One finding for each usable file, and one for each fault of the others."""
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
