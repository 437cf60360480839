"""``millpond completion``: the script that a shell needs."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from millpond.cli.style import out


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    \b
    bash  eval "$(millpond completion bash)"              in ~/.bashrc
    zsh   eval "$(millpond completion zsh)"               in ~/.zshrc
    fish  millpond completion fish | source               in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    root = context.find_root()
    out(kind(root.command, {}, "millpond", "_MILLPOND_COMPLETE").source())
