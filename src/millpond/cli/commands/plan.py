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
    plan = session.target().plan()
    if session.json:
        out(json.dumps(plan.as_dict()))
        return
    for line in plan.notes:
        note(line)
    if plan.empty:
        out(f"nothing to do: {plural(len(plan.changes), 'component')} up as {plan.platform} wants")
        return
    rows = [(str(change.act), change.component, "; ".join(change.reasons)) for change in plan.changes]
    for line in columns(rows, paints={0: lambda cell: paint(cell, cell), 2: faint}):
        out(line)
