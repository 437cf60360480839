"""``millpond version``: what a report of a mistake should name."""

from __future__ import annotations

import json
import platform
from importlib import metadata

import click

import millpond
from millpond.cli.session import Session, json_option, pass_session
from millpond.cli.style import columns, out


@click.command("version")
@json_option
@pass_session
def command(session: Session) -> None:
    """Print the versions of Millpond and what it stands on."""
    found = {
        "millpond": millpond.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
    for name in ("click", "pydantic", "PyYAML", "rich", "uv"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    if session.json:
        out(json.dumps(found))
        return
    for line in columns(list(found.items())):
        out(line)
