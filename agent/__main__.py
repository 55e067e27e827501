"""The console script, and `python -m agent`."""

import sys

from common.start import start


def main() -> int | None:
    """`certfleet-agent`."""
    return start("agent.cli")


if __name__ == "__main__":
    sys.exit(main())
