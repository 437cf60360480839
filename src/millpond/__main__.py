"""The command ``millpond``, also as ``python -m millpond``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    from millpond.cli.entry import run

    code = run(sys.argv[1:])
    if "pyarrow" in sys.modules:
        from millpond.ending import end

        end(code)
    sys.exit(code)


if __name__ == "__main__":
    main()
