"""``millpond rollout``: how far a revision that gets its traffic by itself has come."""

from __future__ import annotations

import json
import time

import click

from millpond.cli import completion
from millpond.cli.exit_codes import ExitCode
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import note, out

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
    progress = found["status"].get("rollout")
    if session.json and not watch:
        out(json.dumps(progress))
        return
    if not watch or progress is None:
        views.rollout(found)
        return
    said = None
    while True:
        progress = found["status"].get("rollout") or {}
        line = json.dumps(progress) if session.json else views.rollout_line(found)
        if line != said:
            out(line)
            said = line
        if progress.get("phase") in ("promoted", "returned", None):
            break
        time.sleep(_PAUSE)
        found = serving.client.get(name, found["metadata"]["namespace"])
    if progress.get("phase") == "returned":
        note(f"{progress['revision']} was taken back; `millpond deployments {name}` shows what serves")
        context.exit(ExitCode.FAILED)
