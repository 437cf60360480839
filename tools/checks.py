"""All checks and tests, in the order in which they fail fastest; ``./bootstrap test`` runs this.

With arguments, only pytest is run, with those arguments.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent

CHECKS = (
    ("format", ["ruff", "format", "--check", "--quiet", "."]),
    ("lint", ["ruff", "check", "--quiet", "."]),
    ("layers", ["lint-imports"]),
    ("types", ["mypy"]),
    ("docs", [sys.executable, "tools/docs.py", "--check"]),
    ("tests", [sys.executable, "-m", "pytest", "-q", "-m", "not slow"]),
    ("slow tests", [sys.executable, "-m", "pytest", "-q", "-m", "slow"]),
)


def main(arguments: list[str]) -> int:
    """Run the checks; the first that fails ends it, with its exit code."""
    if arguments:
        return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT).returncode
    for name, command in CHECKS:
        print(f"== {name}", flush=True)
        begun = time.monotonic()
        code = subprocess.run(command, cwd=ROOT).returncode
        print(f"== {name}: {'ok' if code == 0 else 'FAILED'} in {time.monotonic() - begun:.0f} s", flush=True)
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
