"""``millpond open``: a component in the browser."""

from __future__ import annotations

import os
import sys

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.style import note, out


@click.command("open")
@click.argument("name", required=False, shell_complete=completion.components)
@click.option("--print", "only_print", is_flag=True, help="Print the address, open nothing")
@file_option
@target_options
@pass_session
def command(session: Session, name: str | None, only_print: bool) -> None:
    """Print the address of component NAME and open it in the browser; without NAME, of the gateway."""
    from millpond.model.errors import MillpondError, did_you_mean

    target = session.target()
    nodes = target.platform.nodes
    if name is None:
        name = next((found for found, _ in target.platform.providers("gateway")), None)
        if name is None:
            raise MillpondError("the platform has no gateway", hint="name a component")
    elif name not in nodes:
        raise MillpondError(f"no component of this platform is called {name}", hint=did_you_mean(name, nodes))
    url = target.url(name)
    if url is None:
        having = ", ".join(found for found, node in nodes.items() if node.component.service.open)
        raise MillpondError(
            f"{name} has no page for a browser", hint=f"these have: {having}" if having else None
        )
    out(url)
    if not only_print and _has_display():
        import webbrowser

        if not webbrowser.open(url):
            note("no browser could be started")


def _has_display() -> bool:
    if sys.platform == "darwin":
        return not os.environ.get("SSH_CONNECTION")
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or os.environ.get("BROWSER"))
