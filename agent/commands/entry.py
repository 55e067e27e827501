"""The entry of agent.toml for a certificate, commented, as `init` writes it for services of this host."""

import json
import shlex
from collections.abc import Iterable, Mapping, Sequence

from agent.model.certificate import file_stem
from agent.settings.preset import Preset
from common.names import in_url

_ENTRY = """
[[certificate]]
name = "{name}"
key = "/etc/ssl/private/{stem}.key"   # `certfleet-agent request {word}` makes it
service = {service}{others}
{probe}   # where the new certificate must show; ?connect=127.0.0.1 looks here under that name
{files}"""
_NONE = "   # none was found here: `certfleet-agent presets` shows them"
_FULLCHAIN = "/etc/ssl/certs/{name}.fullchain.crt"


def entries(names: Iterable[str], services: Mapping[str, Preset | None], others: Sequence[str]) -> str:
    """The TOML text of an entry for each of the *names*. *services*: presets by name, None for one that was not found
    here. *others*: services that were found here too, which a comment names."""
    return "".join(_entry(name, services, others) for name in names)


def quoted(value: str) -> str:
    """*value* as a text of TOML, in quotes."""
    return json.dumps(value, ensure_ascii=False)  # JSON's spelling of a text is TOML's too


def _entry(name: str, services: Mapping[str, Preset | None], others: Sequence[str]) -> str:
    stem, presets = file_stem(name), [preset for preset in services.values() if preset is not None]
    also = f"   # also found here: {', '.join(map(quoted, others))}" if others else ""
    service = quoted(next(iter(services))) if len(services) == 1 else json.dumps(list(services), ensure_ascii=False)
    files = _files(stem, presets)
    return _ENTRY.format(
        name=name,
        word=shlex.quote(name),
        stem=stem,
        service=service,
        others=also if presets else _NONE,
        probe=_probe(name, presets),
        files=f"# The preset's files: let the service's configuration name them.\n{files}" if files else "",
    )


def _files(stem: str, presets: Sequence[Preset]) -> str:
    """The files of the *presets*, as comments."""
    plain = [(kind, str(file)) for preset in presets for kind, file in preset.files.named().items()]
    plain = plain if presets else [("fullchain", _FULLCHAIN)]
    lines = [f"# {kind} = {quoted(file.replace('{name}', stem))}" for kind, file in dict.fromkeys(plain)]
    lines = ["# [certificate.files]", *lines] if lines else []
    for one in (combined for preset in presets for combined in preset.combined):
        path = quoted(str(one.path).replace("{name}", stem))
        lines += ["# [[certificate.combined]]", f"# path = {path}", f"# parts = {json.dumps(one.parts)}"]
    return "".join(f"{line}\n" for line in lines)


def _probe(name: str, presets: Sequence[Preset]) -> str:
    """The line about sockets: a comment where the presets say it all. For a wildcard name they cannot."""
    asked = [preset for preset in presets if preset.probe is None]
    usual = ["https://{name}"] if asked or not presets else []
    usual += [one for preset in presets for one in preset.probe or ()]
    host = in_url(name.replace("*", "www", 1))
    line = f"probe = {json.dumps([one.replace('{name}', host).replace('{here}', '127.0.0.1') for one in usual])}"
    return line if asked or host != in_url(name) else f"# {line}"
