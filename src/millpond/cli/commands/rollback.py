"""``millpond rollback``: back to a revision that served before."""

from __future__ import annotations

import click

from millpond.cli import completion
from millpond.cli.manner import Manner, manner_options
from millpond.cli.session import Session, file_option, json_option, pass_session


@click.command("rollback")
@click.argument("name", shell_complete=completion.deployments)
@click.argument("revision", required=False)
@manner_options
@file_option
@json_option
@pass_session
def command(session: Session, manner: Manner, name: str, revision: str | None) -> None:
    """Give all requests of NAME to an earlier revision.

    Beside a canary, shadow or experiment that is the revision that was there first; else the one before. A
    kept REVISION is another; `millpond deployments NAME` lists them. Its model is not fetched again.
    """
    from millpond.cli.deploying import show
    from millpond.cli.serving import Serving
    from millpond.serving.edits import rolled_back

    serving = Serving(session)
    # What the file says of the model does not matter: the revision's own takes its place.
    document = serving.base(
        serving.find(name), lambda deployed: rolled_back(deployed, revision), same_model=False
    )
    show(serving, serving.change(document, manner))
