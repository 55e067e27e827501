"""The Trust of ``agent.journey.ports`` for a key that is not here: without it no server can be played, and
`openssl verify` of this machine judges as a client would."""

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from agent.host.trust import in_memory, refuse_no_roots
from agent.model.certificate import Anchors
from agent.model.host_key import HostKey
from common.errors import FileError
from common.files import read_regular
from common.names import is_address

_SECONDS = 30.0
# as strict about sizes and digests as OpenSSL's clients on Debian; a CA that is named is trusted, be it a root or not
_VERIFY = ("openssl", "verify", "-purpose", "sslserver", "-auth_level", "2", "-partial_chain")
_SAID = re.compile(r"error \d+ at \d+ depth lookup: *(.+)")


def objection(fullchain: bytes, key: HostKey, names: Iterable[str], roots: Anchors) -> str:
    """As ``agent.host.trust.objection``; "" for "none". FileError if there is no openssl on this machine."""
    if roots == "none":
        return ""
    if isinstance(roots, Path):
        refuse_no_roots(roots)
    return next((said for name in names if (said := _verified(fullchain, name.replace("*", "www", 1), roots))), "")


def _verified(fullchain: bytes, name: str, roots: Anchors) -> str:
    named = roots if isinstance(roots, bytes) else read_regular(roots) if isinstance(roots, Path) else b""
    with in_memory(fullchain) as chain_file, in_memory(named) as roots_file:
        words = [*_VERIFY, "-verify_ip" if is_address(name) else "-verify_hostname", name]
        words += ["-CAfile", roots_file, "-no-CApath", "-no-CAstore"] if named else []
        words += ["-untrusted", chain_file, chain_file]
        descriptors = [int(os.path.basename(file)) for file in (chain_file, roots_file)]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, timeout=_SECONDS, pass_fds=descriptors, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            hint = 'install the program openssl on this machine, or set roots = "none"'
            raise FileError("the chain cannot be verified", why=str(error), hint=hint) from error
    if done.returncode == 0:
        return ""
    found = _SAID.search(done.stderr) or _SAID.search(done.stdout)
    return found[1] if found else (done.stderr.strip() or f"exit code {done.returncode}")
