"""The command line: ``python -m fnn doctor`` checks whether JAX computes correctly on this machine."""

import argparse
import sys
from collections.abc import Sequence

from fnn.describe.rendering import spell_on
from fnn.platform.doctor import doctor


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit code; without a command, prints the help."""
    spell_on(sys.stdout)
    parser = argparse.ArgumentParser(prog="python -m fnn", description="Neural networks for JAX")
    commands = parser.add_subparsers(dest="command", metavar="command")
    help_ = "report versions, devices and flags, and check results against NumPy; exits with 1 if a check fails"
    commands.add_parser("doctor", help=help_, description=doctor.__doc__)
    if parser.parse_args(arguments).command == "doctor":
        return 0 if doctor().ok else 1
    parser.print_help()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
