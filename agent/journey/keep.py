"""Certificates of this host are kept when others take their place, so that a person can go back to one.

They are public, and lie in the state folder: never where a service would read them too.
"""

from agent.journey.ports import Tools
from common.certificate import Bundle, parse_bundle, serial_text
from common.errors import FileError
from common.late_log import LateLog

_log = LateLog()


def keep(name: str, bundle: Bundle, tools: Tools, *, replaced: bool = False) -> None:
    """Keep the certificate that is in place now, or is about to be *replaced*. Forget the oldest beyond `keep` of
    agent.toml. An error is logged: an install does not fail for it."""
    if not tools.keep:
        return
    serial = serial_text(bundle.leaf)
    try:
        if not (replaced and serial in tools.state.kept_serials(name)):
            tools.state.save_kept(name, serial, bundle.leaf_pem + bundle.chain_pem)
        if not replaced:
            for oldest in tools.state.kept_serials(name)[tools.keep + 1 :]:
                tools.state.drop_kept(name, oldest)
    except FileError as error:
        _log.warning("kept.not-written", certificate=name, error=str(error), hint=error.hint)


def kept(name: str, tools: Tools) -> list[Bundle]:
    """The certificates that are kept, newest first; one that is damaged is none. Raises FileError."""
    found = []
    for serial in tools.state.kept_serials(name):
        try:
            found.append(parse_bundle(tools.state.read_kept(name, serial)))
        except ValueError as error:
            _log.warning("kept.damaged", certificate=name, serial=serial, error=str(error))
    return found
