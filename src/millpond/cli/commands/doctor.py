"""``millpond doctor``: whether this machine can run a platform, and how to mend what is wrong."""

from __future__ import annotations

import json

import click

from millpond.cli.exit_codes import ExitCode
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, hint, out, paint


@click.command("doctor")
@file_option
@json_option
@pass_session
def command(session: Session) -> None:
    """Check this machine and this folder's platform; say what is wrong, why, and how to mend it."""
    from millpond.cli.checkup import check_all

    found = check_all(session)
    failed = [check for check in found if check.state == "fail"]
    if session.json:
        out(json.dumps([check.as_dict() for check in found]))
    else:
        rows = [(check.state, check.name, check.reason) for check in found]
        for check, line in zip(found, columns(rows, paints={0: lambda cell: paint(cell, cell)}), strict=True):
            out(line)
            if check.fix and check.state != "ok":
                out(f"      {paint('hint:', 'hint')} {check.fix}")
        if not failed:
            hint(
                "`millpond up` brings the platform up"
                if session.file or _has_flavour(session)
                else "`millpond demo flights`, or `millpond init`"
            )
    if failed:
        raise click.exceptions.Exit(ExitCode.FAILED)


def _has_flavour(session: Session) -> bool:
    from millpond.model.errors import MillpondError

    try:
        session.locate()
    except MillpondError:
        return False
    return True
