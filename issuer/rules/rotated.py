"""Which files of a folder a log was before it was rotated, by their names. Pure.

logrotate counts (`access.log.1`) or dates (`dateext`: `access.log-20261128`; with `extension`: `access-20261128.log`),
and packs older ones (`.gz`); BIND counts from 0, or dates (`suffix timestamp`).
"""

import re
from collections.abc import Iterable
from pathlib import PurePath

PACKED = ".gz"
_AGE = r"[.-]\d+(?:[-_.:T]\d+)*"  # a number or a date, as `dateformat` may write it
_DATE = r"[.-](?=(?:[-_.:T]?\d){8})\d+(?:[-_.:T]\d+)*"  # before an extension a short number may be another log's


def rotated(name: str, listed: Iterable[str]) -> list[str]:
    """The *listed* names that the log *name* has had. Of a file that is there packed and unpacked, the unpacked one."""
    stem, extension = re.escape(PurePath(name).stem), re.escape(PurePath(name).suffix)
    pattern = re.compile(rf"(?:{re.escape(name)}{_AGE}|{stem}{_DATE}{extension})(?:{re.escape(PACKED)})?")
    found = {one for one in listed if pattern.fullmatch(one)}
    return sorted(one for one in found if not (one.endswith(PACKED) and one.removesuffix(PACKED) in found))
