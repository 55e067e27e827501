"""A certificate for the time before the first real one: self-signed, where a service needs a file to start at all.

It is made only where no file is. No client trusts it, and an install counts it as nothing: the first certificate of the
issuer takes its place.
"""

from pathlib import Path

from agent.journey.due import Due, found_in_files, plan
from agent.journey.ports import Turn
from agent.model.offer import Mark
from common.certificate import parse_bundle
from common.dataclasses import replace
from common.errors import RefusedError

_LASTS = 365  # days: too few to rely on it, and enough that no service stops for it


def interim(turn: Turn) -> list[Path]:
    """Write a self-signed certificate of the live key to each live file that is not there. Returns those files.

    Raises RefusedError where a certificate of a CA is in place, ConfigError for a key that is not there, InstallError,
    FileError.
    """
    tools, certificate = turn.tools, turn.certificate
    key = tools.keys.load(certificate.key)
    if found_in_files(turn, key) is not None:
        why = "a certificate from a CA is in place"
        raise RefusedError(f"no interim certificate is made for {certificate.name}", why=why)
    names = (certificate.name, *sorted(certificate.names - {certificate.name}))
    bundle = parse_bundle(tools.keys.self_signed(certificate.key, names, _LASTS))
    planned = plan(Due(turn, bundle, key, Mark(0, 0), "", "", by_issuer=False))
    missing = {file: one.new for file, one in planned.items() if one.live is None}
    for file, new in missing.items():
        if not new.content:  # a file of the chain alone: Apache does not start with an empty one
            missing[file] = replace(new, content=bundle.leaf_pem)
    tools.files.replace(missing)
    return list(missing)
