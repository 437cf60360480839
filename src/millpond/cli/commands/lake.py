"""``millpond lake``: what is in the lake, and who may do what there."""

from __future__ import annotations

import click

from millpond.cli.commands import lake_access


@click.group("lake")
def command() -> None:
    """The lake: its users and their rights.

    Users, groups and grants are kept by the object store itself, which enforces them.
    """


for _part in (lake_access.user, lake_access.group, lake_access.grant, lake_access.revoke, lake_access.matrix):
    command.add_command(_part)
