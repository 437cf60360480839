"""``millpond env``: what user code finds in its environment; the one place that prints secrets on purpose."""

from __future__ import annotations

import json
import re
import shlex

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import out

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")


def shell_line(name: str, value: str) -> str:
    """An assignment for sh, bash and zsh.

    >>> shell_line("A", "it's")
    'export A=\\'it\\'"\\'"\\'s\\''
    """
    return f"export {name}={shlex.quote(value)}"


def dotenv_line(name: str, value: str) -> str:
    r"""An assignment for a ``.env`` file: plain where it can be, else in quotes.

    >>> dotenv_line("A", "b"), dotenv_line("A", "b c"), dotenv_line("A", "it's $5")
    ('A=b', "A='b c'", 'A="it\'s \\$5"')
    """
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    if "'" not in value and "\n" not in value and "\\" not in value:
        return f"{name}='{value}'"
    for char in '\\"$`':
        value = value.replace(char, f"\\{char}")
    value = value.replace("\n", "\\n")
    return f'{name}="{value}"'


@click.command("env")
@click.option(
    "--format",
    "style",
    type=click.Choice(["shell", "dotenv", "json"]),
    default="shell",
    show_default=True,
    help="How it is written",
)
@file_option
@target_options
@json_option
@pass_session
def command(session: Session, style: str) -> None:
    """Print the environment that user code finds: the lake, tracking, databases, with their secrets.

    In a shell: eval "$(millpond env)"
    """
    found = session.target().environment()
    if session.json or style == "json":
        out(json.dumps(found, indent=None if session.json else 1))
        return
    write = shell_line if style == "shell" else dotenv_line
    for name, value in sorted(found.items()):
        out(write(name, value))
