"""The console script, and `python -m issuer`."""

import sys

from common.start import start


def main() -> int | None:
    """`certfleet-issuer`."""
    return start("issuer.cli")


if __name__ == "__main__":
    sys.exit(main())
