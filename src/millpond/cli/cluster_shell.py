"""Shells for a platform on a cluster: on this machine, in a component's pod, or in a pod for debugging."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.commands.shell import login
from millpond.cli.style import note
from millpond.model.errors import MillpondError

if TYPE_CHECKING:
    from millpond.targets.kubernetes.target import KubernetesTarget


def open_shell(target: KubernetesTarget, arguments: list[str], *, plain: bool, debug: bool) -> None:
    """Start a shell or a program, and end as it ends.

    Args:
        target: the platform.
        arguments: a component and a program in its pod, or with `plain` a program of this machine.
        plain: the arguments are a program.
        debug: in a pod of its own.

    Raises:
        MillpondError: the component has no running pod, or a program is not there.
    """
    if debug:
        code = _debug(target, arguments)
    elif arguments and not plain:
        name, *program = arguments
        pod = target.pod(name)
        code = _kubectl(target, ["exec", *_terminal(), pod, "--", *(program or ["sh"])])
    else:
        code = _here(target, arguments)
    raise click.exceptions.Exit(code)


def _here(target: KubernetesTarget, program: list[str]) -> int:
    """A program of this machine, to which the platform's ports are forwarded for as long as it runs."""
    from millpond.cli.cluster_side import reached

    if not program:
        program = login()
        note(f"a shell with the environment of {target.platform.name}; `exit` leaves it")
    with reached(target) as found:
        environment = {**os.environ, "DO_NOT_TRACK": "1", **found}
        environment["MILLPOND_SHELL"] = target.platform.name
        where = shutil.which(program[0], path=environment.get("PATH"))
        if where is None:
            raise MillpondError(f"there is no program {program[0]}", exit_code=127)
        return subprocess.call(program, env=environment)


def _debug(target: KubernetesTarget, program: list[str]) -> int:
    """A pod with the platform's first image, in its network and under its security, gone at the end."""
    from millpond.targets.kubernetes.debugging import pod

    name = f"debug-{secrets.token_hex(3)}"
    found: dict[str, Any] = pod(target.bundle, name)
    note(f"starting the pod {name} in {target.namespace}; it is deleted when the shell ends")
    made = subprocess.run(
        [*target.kubectl(), "--namespace", target.namespace, "create", "-f", "-"],
        input=json.dumps(found).encode(),
        capture_output=True,
        check=False,
    )
    if made.returncode:
        raise MillpondError(f"the pod {name} cannot be made: {made.stderr.decode().strip()}")
    try:
        if _kubectl(target, ["wait", "--for=condition=Ready", f"pod/{name}", "--timeout=120s"], quiet=True):
            raise MillpondError(
                f"the pod {name} does not start", hint=f"kubectl -n {target.namespace} describe pod {name}"
            )
        return _kubectl(target, ["exec", *_terminal(), name, "--", *(program or ["sh"])])
    finally:
        _kubectl(target, ["delete", "pod", name, "--now", "--wait=false"], quiet=True)


def _terminal() -> list[str]:
    return ["--stdin", "--tty"] if sys.stdin.isatty() else ["--stdin"]


def _kubectl(target: KubernetesTarget, arguments: list[str], *, quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else None
    command = [*target.kubectl(), "--namespace", target.namespace, *arguments]
    return subprocess.call(command, stdout=output, stderr=output)
