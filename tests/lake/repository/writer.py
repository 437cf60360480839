"""A writer of its own process: commits numbered files to a branch, as told by its arguments."""

from __future__ import annotations

import json
import sys

from millpond.lake.repository import places
from millpond.lake.store import ConflictError


def say(line: str) -> None:
    """A line for the test."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """``writer.py NAME COUNT SHARED``: COUNT commits of own files; every third also to a file of all."""
    name, count, shared = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "shared"
    repo = places.find("flights")
    won, told = [], 0
    say("ready")
    sys.stdin.readline()
    for number in range(count):
        try:
            with repo.commit(f"{name} {number}") as change:
                change.write(f"{name}/{number}", f"{name} {number}")
                if shared and number % 3 == 0:
                    change.write("shared", f"{name} {number}")
            won.append(number)
        except ConflictError:
            told += 1
    say(json.dumps({"name": name, "won": won, "told": told}))


main()
