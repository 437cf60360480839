"""``millpond help``: of a command, or of a topic that belongs to none."""

from __future__ import annotations

import click

from millpond.cli.exit_codes import table
from millpond.cli.style import out

TOPICS = ("exit-codes",)


@click.command("help")
@click.argument("topic", nargs=-1)
@click.pass_context
def command(context: click.Context, topic: tuple[str, ...]) -> None:
    """Show the help of a command, or of the topic exit-codes."""
    if topic == ("exit-codes",):
        out(table())
        return
    parent = context.parent
    assert parent is not None
    found: click.Command = parent.command
    names = list(topic)
    inner = parent
    while names:
        if not isinstance(found, click.Group):
            raise click.UsageError(f"{' '.join(topic)} is not a command", context)
        _, sub, _ = found.resolve_command(inner, [names[0]])
        assert sub is not None
        inner = click.Context(sub, info_name=names.pop(0), parent=inner)
        found = sub
    out(found.get_help(inner))
