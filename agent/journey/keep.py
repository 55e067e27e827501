"""Certificates of this host are kept when others take their place, so that a person can go back to one.

They are public, and lie in the state folder: never where a service would read them too.
"""

from collections.abc import Sequence

from agent.journey.faulty import faulty
from agent.journey.ports import Tools
from common.certificate import Bundle, parse_bundle, serial_text
from common.errors import FileError
from common.late_log import LateLog

_log = LateLog()


def keep(certificates: Sequence[tuple[str, Bundle]], tools: Tools) -> None:
    """Keep those that are in place now, each with its name. Forget the oldest beyond `keep` of agent.toml. An error is
    logged: an install does not fail for it."""
    if tools.keep:
        _save(certificates, tools)
        for name, _ in certificates:
            try:
                for oldest in tools.state.kept_serials(name)[tools.keep + 1 :]:
                    tools.state.drop_kept(name, oldest)
            except FileError as error:
                _say(name, error)


def keep_replaced(certificates: Sequence[tuple[str, Bundle]], tools: Tools) -> None:
    """Keep those that are about to be replaced, if they are not kept yet, as the first ones are not."""
    if tools.keep:
        _save([(name, bundle) for name, bundle in certificates if not _is_kept(name, bundle, tools)], tools)


def _is_kept(name: str, bundle: Bundle, tools: Tools) -> bool:
    try:
        return serial_text(bundle.leaf) in tools.state.kept_serials(name)
    except FileError:  # to save it fails as well, and says why
        return False


def _save(certificates: Sequence[tuple[str, Bundle]], tools: Tools) -> None:
    files = [(name, serial_text(one.leaf), one.leaf_pem + one.chain_pem) for name, one in certificates]
    for (name, _, _), error in faulty(tools.state.save_kept, files):
        _say(name, error)


def _say(name: str, error: FileError) -> None:
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
