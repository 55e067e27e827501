"""A first agent.toml for this host: commented, with a block for each name given and each service found here."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from agent.host.programs import search_path
from agent.model.certificate import file_stem
from agent.settings.preset import Preset, load_preset, preset_names
from common.errors import FileError
from common.files import create_new, make_folder, make_private_folder

_PROGRAMS = {"apache": ("apachectl", "apache2ctl"), "nginx": ("nginx",)}

_HEAD = """\
# agent.toml: which certificates this host takes, from where, and what is done with them.
# Every key and its default stand in agent.example.toml. Secrets stand in files of their own, never here.

state_dir = {state_dir}

[source]
url = {url}
# password_file = "/etc/certfleet/db.password"   # mode 0600
# tls_ca = "/etc/certfleet/db-ca.pem"            # without it: the system's trust store; TLS is always verified
"""

_BLOCK = """
[[certificate]]
name = "{name}"
key = "/etc/ssl/private/{stem}.key"   # `certfleet-agent request {name}` makes it
service = "{service}"
# probe = ["https://{name}"]   # where the new certificate must show; ?connect=127.0.0.1:443 looks here under that name
# [certificate.files]
# fullchain = "{fullchain}"   # the preset's default: let the service's configuration name it
"""


def services_found() -> list[str]:
    """The presets whose program is installed here."""
    path = search_path()
    return [name for name in preset_names() if any(shutil.which(p, path=path) for p in _PROGRAMS.get(name, ()))]


def init(config_file: Path, state_dir: Path, url: str, names: Sequence[str], services: Sequence[str]) -> None:
    """Write *config_file*, which must not exist, and create *state_dir*. Raises FileError."""
    if os.path.lexists(config_file):
        raise FileError(f"{config_file} exists already", hint="edit it, or move it away first")
    make_private_folder(state_dir)
    text = _HEAD.format(state_dir=_quoted(str(state_dir)), url=_quoted(url))
    presets = [preset for preset in map(load_preset, services) if preset is not None]
    for preset in presets:
        text += f"\n# found on this host: {preset.name}. {preset.note}\n"
    first = presets[0] if presets else None
    others = ", ".join(f'"{preset.name}"' for preset in presets[1:])
    for name in names:
        block = _block(name, first)
        text += block.replace('"\n# probe', f'"   # also found here: {others}\n# probe', 1) if others else block
    if not names:
        blocks = "".join(_block("www.example.com", preset) for preset in presets) or _block("www.example.com", None)
        text += "".join(f"# {line}\n" if line else "\n" for line in blocks.splitlines())
    make_folder(config_file.parent)
    create_new(config_file, text.encode(), mode=0o644)


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)  # JSON's spelling of a text is TOML's too


def _block(name: str, preset: Preset | None) -> str:
    stem = file_stem(name)
    paths = preset.file_paths(stem) if preset else {}
    fullchain = paths.get("fullchain", f"/etc/ssl/certs/{stem}.fullchain.crt")
    return _BLOCK.format(name=name, stem=stem, service=preset.name if preset else "nginx", fullchain=fullchain)
