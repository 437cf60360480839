"""``millpond lake``: what is in the lake, and who may do what there."""

from __future__ import annotations

import click

from millpond.cli.commands import lake_access, lake_files


@click.group("lake")
def command() -> None:
    """The lake: its files, its users and their rights.

    A path is bucket/path (also s3://bucket/path, lake://bucket/path). A file of this machine begins with
    ./, ../, / or ~/. s3+PROFILE://, az://, abfs:// and gs:// are other stores. Patterns: * within a folder,
    ** across folders; quote them.
    """


_PARTS = (
    lake_files.ls,
    lake_files.cp,
    lake_files.cat,
    lake_files.rm,
    lake_files.du,
    lake_files.sync,
    lake_files.mb,
    lake_access.user,
    lake_access.group,
    lake_access.grant,
    lake_access.revoke,
    lake_access.matrix,
)
for _part in _PARTS:
    command.add_command(_part)
