"""The choice of a certificate to go back to, among those that this host keeps. Pure."""

from collections.abc import Collection, Sequence

from common.certificate import Bundle, fingerprint, serial_number, serial_text, spki_sha256
from common.errors import RefusedError


def choice(kept: Sequence[Bundle], present: str, left: Collection[str], key_spki_sha256: str, serial: str) -> Bundle:
    """The one of *kept* (newest first) with that *serial* (hex). For "": the newest for the present key that is neither
    *present*, in the live files, nor among those that were *left* before; both are SHA-256 of leaves. Raises
    RefusedError, whose hint names what is kept."""
    others = [one for one in kept if fingerprint(one.leaf) != present]
    there_are = "kept are: " + ", ".join(serial_text(one.leaf) for one in others)
    if not others:
        raise RefusedError(
            "there is no certificate to go back to",
            why="none is kept beside the one in place",
            hint="one is kept when another takes its place, as many as `keep` in agent.toml says",
        )
    if serial:
        for one in kept:
            if one.leaf.serial_number == serial_number(serial):
                if one not in others:
                    raise RefusedError(f"serial {serial_text(one.leaf)} is in place already", hint=there_are)
                return one
        raise RefusedError(f"no certificate with serial {serial} is kept", hint=there_are)
    for one in others:
        if fingerprint(one.leaf) not in left and spki_sha256(one.leaf.public_key()) == key_spki_sha256:
            return one
    hint = f"{there_are}; one for an earlier key is not gone back to, and --to names any other"
    raise RefusedError("none of those that are kept is older and fits the key", hint=hint)
