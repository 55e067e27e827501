"""Secrets that the configuration names, each read by the loader of those who use it, whether a certificate needs it
today or not: a key for the one sub-zone of next year, or for an account that is not registered yet, fails at night.

Account keys, passwords and bundles are read where their server is looked at.
"""

import importlib
from collections.abc import Callable
from pathlib import Path

from common.errors import CertfleetError
from issuer.ca.account import load_binding_key
from issuer.check.verdicts import Line, bad_lines, ok
from issuer.dns.find.routes import routes
from issuer.dns.write.tsig import load_tsig_key
from issuer.model.config import Settings
from issuer.webroot.hostkeys import load_pinned_keys


def file_lines(settings: Settings) -> list[Line]:
    """One finding for each file, or for each thing that is wrong with it."""
    lines = []
    for ca in settings.authorities:
        lines += _read(f"CA {ca.directory}", ca.eab_hmac_file, load_binding_key)
    for file in dict.fromkeys(route.tsig_key_file for route in routes(settings.dns)):
        lines += _read("TSIG key", file, load_tsig_key)
    lines += _read("SSH", settings.webroot.ssh_host_keys, load_pinned_keys)
    return lines + _read("SSH", settings.webroot.ssh_key_file, _load_ssh_key)


def _read(subject: str, file: Path | None, load: Callable[[Path], object]) -> list[Line]:
    if file is None:
        return []
    try:
        load(file)
    except CertfleetError as error:
        return bad_lines(subject, error)
    return [ok(subject, f"{file} is usable")]


def _load_ssh_key(file: Path) -> None:
    importlib.import_module("issuer.webroot.ssh").load_private_key(file)  # paramiko takes 0.2 s: only where it is named
