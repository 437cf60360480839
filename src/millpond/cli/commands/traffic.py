"""``millpond traffic``: how much of a deployment's requests its newest revision gets."""

from __future__ import annotations

import click

from millpond.cli import completion
from millpond.cli.manner import Manner, manner_options
from millpond.cli.session import Session, file_option, json_option, pass_session


@click.command("traffic")
@click.argument("name", shell_complete=completion.deployments)
@click.argument("percent", required=False, type=click.IntRange(0, 100))
@manner_options
@file_option
@json_option
@pass_session
def command(session: Session, manner: Manner, name: str, percent: int | None) -> None:
    """Show who gets NAME's requests; with PERCENT, give the newest revision that share.

    100 is a promotion. A share that is set by hand ends an automatic rollout.
    """
    from millpond.cli import deployment_views as views
    from millpond.cli.deploying import show
    from millpond.cli.serving import Serving
    from millpond.serving.edits import with_traffic

    serving = Serving(session)
    found = serving.find(name)
    if percent is not None:
        document = serving.base(found, lambda deployed: with_traffic(deployed, percent))
        show(serving, serving.change(document, manner))
    elif session.json:
        serving.show_json(found["status"]["components"]["predictor"].get("traffic", []))
    else:
        views.traffic(found)
