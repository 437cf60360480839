"""``millpond shell``: a shell, or one program, that finds the platform in its environment."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from typing import TYPE_CHECKING

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, pass_session, target_options
from millpond.cli.style import note

if TYPE_CHECKING:
    from millpond.targets.local.target import LocalTarget


@click.command("shell", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option(
    "--env", "plain", is_flag=True, help="The platform's environment alone; all ARGUMENTS are the program"
)
@click.option(
    "--debug",
    is_flag=True,
    help="On a cluster: a pod of its own in the platform's network, removed at the end",
)
@click.argument("arguments", nargs=-1, shell_complete=completion.components, metavar="[NAME] [PROGRAM]...")
@file_option
@target_options
@pass_session
def command(session: Session, plain: bool, debug: bool, arguments: tuple[str, ...]) -> None:
    """Start a shell, or PROGRAM, in the environment of the platform.

    With NAME it also has that component's own variables, and its programs on PATH; on a cluster it is
    a shell in the component's pod.

    \b
    millpond shell                              the platform's environment
    millpond shell postgres psql                a program of a component
    millpond shell --env python train.py        a program of your own
    """
    if session.on_cluster():
        from millpond.cli.cluster_shell import open_shell

        open_shell(session.cluster_target(), list(arguments), plain=plain, debug=debug)
        return
    if debug:
        from millpond.model.errors import UsageError

        raise UsageError("--debug is for a cluster", hint="`millpond shell NAME` has a component's programs")
    target = session.local_target()
    program = list(arguments)
    name = program.pop(0) if program and not plain else None
    environment = surroundings(target, name)
    if not program:
        program = login()
        note(f"a shell with the environment of {name or target.platform.name}; `exit` leaves it")
    execute(program, environment)


def surroundings(target: LocalTarget, name: str | None = None) -> dict[str, str]:
    """The environment of a program: this process's, the platform's, and that of one component."""

    own = asyncio.run(target.component_environment(name)) if name else {}
    # What user code finds wins: the component's own names of a database are not the user's.
    found = {**os.environ, "DO_NOT_TRACK": "1", **own, **target.environment()}
    found["MILLPOND_SHELL"] = name or target.platform.name
    found.pop("PYTHONDONTWRITEBYTECODE", None)
    return found


def login() -> list[str]:
    """The user's own shell."""
    return [os.environ.get("SHELL") or "/bin/sh"]


def execute(program: list[str], environment: dict[str, str]) -> None:
    """Become a program.

    Raises:
        MillpondError: it cannot be started.
    """
    from millpond.model.errors import MillpondError

    where = shutil.which(program[0], path=environment.get("PATH"))
    if where is None:
        raise MillpondError(f"there is no program {program[0]}", exit_code=127)
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(where, program, environment)
    except OSError as error:
        raise MillpondError(f"{where} cannot be started: {error.strerror}", exit_code=126) from None
