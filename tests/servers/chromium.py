"""Debian's Chromium without a window: what a page becomes in a real browser."""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import program

_SECONDS = 90
_VIRTUAL_MS = 20_000  # of the page's own time, which passes as fast as the machine allows


@dataclass(frozen=True, slots=True)
class Loaded:
    """The document after its scripts, and what the browser had to say of it."""

    document: str
    console: str


def load(address: str, *, width: int = 1280, dark: bool = False) -> Loaded:
    """Open *address* in a window of that *width* (pixels). Raises AssertionError where the browser fails."""
    with tempfile.TemporaryDirectory() as profile:
        words = [
            *("--headless", "--disable-gpu", "--no-sandbox", "--no-first-run", "--disable-dev-shm-usage"),
            *("--hide-scrollbars", "--enable-logging=stderr", f"--user-data-dir={profile}"),
            *(["--blink-settings=preferredColorScheme=0"] if dark else []),
            *(f"--window-size={width},900", f"--virtual-time-budget={_VIRTUAL_MS}", "--dump-dom", address),
        ]
        command = [program("chromium", "chromium"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    return Loaded(done.stdout, done.stderr)


def address_of(file: Path) -> str:
    return file.absolute().as_uri()
