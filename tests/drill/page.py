"""docs/services.md, and `proven` of each preset, from what the drill has seen. `make drill` calls this at its end."""

import re
from pathlib import Path

from tests.drill.facts import FAULTS, Facts, all_facts

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "services.md"
PRESETS = ROOT / "agent" / "settings" / "presets"
_HEAD = """# Services: what was seen

`make drill` writes this page; nothing on it is written by hand.
It installs certificates for each service on a machine under systemd, with the daemon as Debian ships it and the
commands of its preset, and lets one fault after another happen.
`esxi` is a stand-in, which cannot show how ESXi itself behaves: root's login over OpenSSH without SFTP, ESXi's paths
and the names of its commands, and nginx under a watchdog as its web service.

After each fault the old certificate is in place byte for byte, with owner, mode, access control list and label, and it
is served; exit code, report and sentence say so.
The next run changes nothing, or ends well where the fault is gone. Where that is not so, a test fails.
A cell says what was seen beside that; an empty one says that the fault was not tried.
"""


def text(facts: list[Facts]) -> str:
    """The page."""
    legend = ["| Fault | What happens |", "| --- | --- |", *(f"| {name} | {what} |" for name, what in FAULTS.items())]
    head = f"| Service | Version | {' | '.join(FAULTS)} |"
    rows = [
        f"| {_name(one)} | {one.system}: {one.package} | {' | '.join(one.seen.get(name, '') for name in FAULTS)} |"
        for one in facts
    ]
    table = [head, "| --- | --- |" + " --- |" * len(FAULTS), *rows]
    return "\n".join([_HEAD, *legend, "", *table, ""])


def _name(one: Facts) -> str:
    return f"`{one.preset}` {one.way}".strip()


def with_proven(preset: str, proven: str) -> str:
    """The text of a *preset*'s file with this `proven`; without one where it is ""."""
    bare = re.sub(r"^proven = .*\n", "", preset, flags=re.MULTILINE)
    return re.sub(r"^programs = ", f'proven = "{proven}"\n\\g<0>', bare, flags=re.MULTILINE) if proven else bare


def main() -> None:
    facts = all_facts()
    PAGE.write_text(text(facts), encoding="utf-8")
    proven = {one.preset: one.proven for one in facts if not one.way}
    for file in PRESETS.glob("*.toml"):
        was = file.read_text(encoding="utf-8")
        file.write_text(with_proven(was, proven.get(file.stem, "")), encoding="utf-8")


if __name__ == "__main__":
    main()
