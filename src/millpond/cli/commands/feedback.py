"""``millpond feedback``: what became of a prediction."""

from __future__ import annotations

import json
from typing import Any

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, pass_session
from millpond.cli.style import note


@click.command("feedback")
@click.argument("name", shell_complete=completion.deployments)
@click.argument("id")
@click.option("--reward", type=float, metavar="NUMBER", help="What it earned: 1 or 0, or an amount")
@click.option("--truth", metavar="JSON", help="What would have been right, as JSON; what is none is text")
@file_option
@pass_session
def command(
    session: Session,
    name: str,
    id: str,  # noqa: A002 - what the user types
    reward: float | None,
    truth: str | None,
) -> None:
    """Tell what became of the prediction ID of NAME.

    The id is the header x-request-id of the answer. Experiments are decided by rewards, quality is measured
    by truths.
    """
    from millpond.cli.serving import Serving
    from millpond.model.errors import UsageError

    if reward is None and truth is None:
        raise UsageError("neither --reward nor --truth was given", hint="give one of them at least")
    body: dict[str, Any] = {"id": id}
    if reward is not None:
        body["reward"] = int(reward) if reward.is_integer() else reward
    if truth is not None:
        try:
            body["truth"] = json.loads(truth)
        except ValueError:
            body["truth"] = truth
    serving = Serving(session)
    namespace = serving.find(name)["metadata"]["namespace"]
    serving.client.send(name, f"/v2/models/{name}/feedback", body, namespace=namespace)
    note(f"noted for {id}")
