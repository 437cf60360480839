"""``millpond flavours``: what ships."""

from __future__ import annotations

import json

import click

from millpond.cli.session import Session, json_option, pass_session
from millpond.cli.style import bytes_text, columns, hint, out, strong


@click.command("flavours")
@json_option
@pass_session
def command(session: Session) -> None:
    """List the flavours that ship with Millpond, and the memory that each wants."""
    from millpond.cli.machine import needed_memory
    from millpond.flavours import loader

    found = []
    for source in loader.shipped():
        platform = source.resolve(source.catalogue())
        found.append(
            {
                "name": source.path.stem,
                "summary": source.flavour.summary,
                "components": list(platform.nodes),
                "memory": needed_memory(platform),
            }
        )
    if session.json:
        out(json.dumps(found))
        return
    rows = [(str(each["name"]), bytes_text(int(str(each["memory"]))), str(each["summary"])) for each in found]
    for line in columns(rows, heads=("NAME", "MEMORY", "SUMMARY"), paints={0: strong}):
        out(line)
    hint("`millpond init NAME` writes one here; `./run.sh -f NAME` takes Data-Mill's")
