"""``millpond plan``: what up would change."""

from __future__ import annotations

import json

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import columns, faint, note, out, paint, plural


@click.command("plan")
@file_option
@target_options
@json_option
@pass_session
def command(session: Session) -> None:
    """Show what `millpond up` would change, and why. Changes nothing."""
    from millpond.cli.giving import waiting
    from millpond.cli.granting import changed

    source = session.source()
    plan = session.target(source=source).plan()
    data, rules = waiting(source), changed(source)
    if session.json:
        loads = [{"from": str(given.source), "to": given.target, "why": why} for given, why in data]
        out(
            json.dumps(
                {
                    **plan.as_dict(),
                    **({"data": loads} if source.flavour.data else {}),
                    **({"lake": True} if rules else {}),
                }
            )
        )
        return
    for line in plan.notes:
        note(line)
    if plan.empty and not data and not rules:
        out(f"nothing to do: {plural(len(plan.changes), 'component')} up as {plan.platform} wants")
        return
    rows = [(str(change.act), change.component, "; ".join(change.reasons)) for change in plan.changes]
    rows += [("grant", "lake", "users and rights differ from what was last applied")] if rules else []
    rows += [("load", given.target, f"{why}: {given.source}") for given, why in data]
    for line in columns(rows, paints={0: lambda cell: paint(cell, cell), 2: faint}):
        out(line)
