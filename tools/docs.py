"""Writes docs/reference from the code; with ``--check`` it fails and shows what is stale instead.

A page is written whole or not at all. Pages of docs/reference that are not named here are written by hand.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable
from pathlib import Path

from reference import catalogue, commands, documents, environment, policies
from reference.markdown import filled

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
HEAD = "<!-- Written by tools/docs.py from the code; change that, then run it again. -->\n"

PAGES: dict[str, Callable[[], str]] = {
    "cli.md": commands.page,
    "exit-codes.md": commands.exit_codes,
    "flavour.md": documents.flavour,
    "component.md": documents.component,
    "interface.md": documents.interface,
    "pipeline.md": documents.pipeline,
    "components.md": catalogue.components,
    "interfaces.md": catalogue.interfaces,
    "environment.md": environment.page,
    "policies.md": policies.page,
    "pipeline.schema.json": documents.pipeline_schema,
}


def main() -> int:
    """Write or check every page; the exit code is 1 when one is stale."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--write", action="store_true", help="write the pages (the default)")
    either.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    check = parser.parse_args().check
    stale = False
    for name, page in PAGES.items():
        path = FOLDER / name
        found = path.read_text(encoding="utf-8") if path.is_file() else ""
        wanted = page()
        if name.endswith(".md"):
            wanted = HEAD + "\n" + filled(wanted).rstrip() + "\n"
        if found == wanted:
            continue
        stale = True
        if check:
            lines = difflib.unified_diff(
                found.splitlines(),
                wanted.splitlines(),
                f"docs/reference/{name}",
                "the code",
                lineterm="",
                n=1,
            )
            print("\n".join(lines))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote docs/reference/{name}", file=sys.stderr)
    if check and stale:
        print("docs/reference is stale; python tools/docs.py writes it anew", file=sys.stderr)
    return int(check and stale)


if __name__ == "__main__":
    sys.exit(main())
