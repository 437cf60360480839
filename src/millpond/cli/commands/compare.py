"""``millpond compare``: a shadow's answers held against those that clients got."""

from __future__ import annotations

import json
from pathlib import Path

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import note, out


@click.command("compare")
@click.argument("name", shell_complete=completion.deployments)
@click.option("--since", metavar="TIME", help="Only what came since: 15m, 2h, 7d ago, or a date")
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    metavar="NUMBER",
    help="Numbers this near to each other agree",
)
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.svg", help="Also draw it there"
)
@file_option
@json_option
@pass_session
def command(
    session: Session, name: str, since: str | None, tolerance: float | None, plot: Path | None
) -> None:
    """Compare the shadow of NAME with the revision that answers, request by request.

    How often they agree, how far apart they are, how much longer the shadow takes, what it did not answer.
    """
    from millpond.cli import measurement_views as views
    from millpond.cli.serving import Serving

    serving = Serving(session)
    found = serving.measured(name, "compare", since=since, tolerance=tolerance)
    if session.json:
        out(json.dumps(found))
    else:
        views.compare(found)
    if plot is not None:
        picture = serving.page(name, "compare.svg", since=since, tolerance=tolerance)
        (session.folder / plot).write_bytes(picture)
        note(f"drew {plot}")
