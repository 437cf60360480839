"""``millpond report``: a deployment's page of the monitor."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, pass_session
from millpond.cli.style import note, out


@click.command("report")
@click.argument("name", shell_complete=completion.deployments)
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Save the page there, with all that it shows in it",
)
@file_option
@pass_session
def command(session: Session, name: str, output: Path | None) -> None:
    """Print the address of NAME's page: traffic, comparison, experiment, drift, quality. Or save the page."""
    from millpond.cli.serving import Serving
    from millpond.model.errors import MillpondError

    serving = Serving(session)
    if output is not None:
        (session.folder / output).write_bytes(serving.page(name, "report"))
        note(f"saved {output}")
        return
    serving.find(name)
    gateway = serving.environment.get("MILLPOND_GATEWAY_URL")
    if not gateway:
        raise MillpondError(
            "without a gateway no browser reaches the page",
            hint=f"`millpond report {name} -o report.html` saves it",
        )
    out(f"http://monitor.localhost:{urlsplit(gateway).port or 80}/deployments/{name}/report")
