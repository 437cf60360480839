"""``millpond rollout``: how far a revision that gets its traffic by itself has come."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from millpond.cli import completion
from millpond.cli.exit_codes import ExitCode
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import note, out

if TYPE_CHECKING:
    from millpond.cli.serving import Serving

_PAUSE = 1.0


@click.group("rollout")
def command() -> None:
    """Automatic rollouts: a revision that gets its requests step by step, as long as it does well."""


@command.command("status")
@click.argument("name", shell_complete=completion.deployments)
@click.option("--watch", is_flag=True, help="Print a line at each change until it is over; 1 if it went back")
@file_option
@json_option
@pass_session
@click.pass_context
def status(context: click.Context, session: Session, name: str, watch: bool) -> None:
    """Show how far the rollout of NAME is, and what it was last judged by."""
    from millpond.cli import deployment_views as views
    from millpond.cli.serving import Serving

    serving = Serving(session)
    found = serving.find(name)
    if not watch:
        if session.json:
            out(json.dumps(found["status"].get("rollout")))
        else:
            views.rollout(found)
        return
    progress = _watched(serving, found)
    if progress is None:
        views.rollout(found)
    elif progress["phase"] == "returned":
        note(f"{progress['revision']} was taken back; `millpond deployments {name}` shows what serves")
        context.exit(ExitCode.FAILED)


def _watched(serving: Serving, found: dict[str, Any]) -> dict[str, Any] | None:
    """The end of a rollout, after a line for each of its changes; None when there is none."""
    from millpond.cli.deployment_views import rollout_line, rollout_plan

    said = None
    while True:
        progress: dict[str, Any] | None = found["status"].get("rollout")
        if progress is None and rollout_plan(found) is None:
            return None
        if progress is not None:
            line = json.dumps(progress) if serving.session.json else rollout_line(found)
            if line != said:
                out(line)
                said = line
            if progress["phase"] in ("promoted", "returned"):
                return progress
        time.sleep(_PAUSE)
        found = serving.client.get(found["metadata"]["name"], found["metadata"]["namespace"])
