"""``millpond submit``: send a pipeline to a platform elsewhere, and run it there. Needs no platform here."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from millpond.cli.commands.run import parse_parameters
from millpond.cli.exit_codes import ExitCode
from millpond.cli.session import Session, json_option, pass_session
from millpond.cli.style import hint, note, out, paint, seconds_text

_LONGEST = 4096


@click.command("submit")
@click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE")
@click.option(
    "--endpoint", envvar="MILLPOND_ENDPOINT", metavar="URL", help="The platform; or MILLPOND_ENDPOINT"
)
@click.option("--token-file", type=click.Path(path_type=Path), metavar="FILE", help="Has the token")
@click.option("--token", metavar="-", help="-: read it from standard input; else it is MILLPOND_TOKEN")
@click.option("--experiment", metavar="NAME", help="MLflow's experiment, for steps that name none")
@click.option("--version", metavar="COMMIT", help="The code's version, for the record; git's when left out")
@click.option("-p", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipeline")
@click.option(
    "--once", is_flag=True, help="Run it only; schedule and triggers stay with what was handed over"
)
@click.option("--wait", is_flag=True, help="Wait until the run is over; its end is the exit code")
@json_option
@pass_session
@click.pass_context
def command(
    context: click.Context,
    session: Session,
    pipeline: Path,
    endpoint: str | None,
    token_file: Path | None,
    token: str | None,
    experiment: str | None,
    version: str | None,
    parameters: tuple[str, ...],
    once: bool,
    wait: bool,
) -> None:
    """Send PIPELINE's folder to the platform at URL, run it there, and print the run's link.

    It is handed over as well: from now on this version runs by its schedule and triggers. The token comes
    from the variable MILLPOND_TOKEN, a file or standard input; `millpond token create` makes one over there.
    """
    from millpond.model.errors import UsageError
    from millpond.pipelines import provenance
    from millpond.pipelines.bundle import pack
    from millpond.pipelines.document import read_pipeline
    from millpond.pipelines.parameters import as_plain, resolve
    from millpond.pipelines.server.client import PipelineService, bearer

    if not endpoint:
        raise UsageError(
            "which platform is it to run on?",
            hint="--endpoint or MILLPOND_ENDPOINT, such as https://pipelines.example.org",
        )
    service = PipelineService(endpoint, bearer(_token(token, session.folder, token_file)))
    found = read_pipeline(session.folder / pipeline)
    words = parse_parameters(parameters)
    values = as_plain(resolve(found.parameters, words))
    archive, _ = pack(found.folder)
    commit, dirty = (version, None) if version else provenance.commit(found.folder)
    if not session.json:
        note(f"sending {found.name} to {service.endpoint}")
    view = service.submit(
        archive,
        {
            "file": found.path.name,
            "parameters": {name: word if word == "today" else values[name] for name, word in words.items()},
            "version": commit,
            "dirty": dirty,
            "experiment": experiment,
            "once": once,
        },
    )
    told = {"run": view["run"], "pipeline": found.name, "url": f"{service.endpoint}{view['page']}"}
    told |= {"version": commit, "experiment": experiment}
    if not wait:
        out(json.dumps({**told, "state": view["state"]}) if session.json else told["url"])
        return
    if not session.json:
        out(told["url"])
        sys.stdout.flush()
    try:
        view = _watched(service, view, quiet=session.json)
    except KeyboardInterrupt:
        note(f"no longer waiting; the run goes on: {told['url']}")
        context.exit(ExitCode.INTERRUPTED)
    if session.json:
        kept = ("state", "steps", "results", "error")
        out(json.dumps({**told, **{key: view[key] for key in kept}}))
    else:
        _tell_end(view)
    context.exit(ExitCode.OK if view["state"] == "succeeded" else ExitCode.FAILED)


def _token(word: str | None, folder: Path, file: Path | None) -> str:
    """The token, from where it does not show.

    Raises:
        UsageError: it was written into the command, or there is none.
    """
    from millpond.model.errors import UsageError

    if word is not None and word != "-":
        raise UsageError(
            "a token does not belong into a command, where others on the machine can read it",
            hint="set MILLPOND_TOKEN, or --token-file FILE, or --token - and write it to standard input",
        )
    if file is not None:
        try:
            text = (folder / file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"the token cannot be read: {error}") from None
    else:
        text = sys.stdin.readline(_LONGEST) if word else os.environ.get("MILLPOND_TOKEN", "")
    text = text.strip()
    if not text or not text.isascii() or any(char.isspace() for char in text):
        raise UsageError(
            "there is no token" if not text else "what was given is no token",
            hint="set MILLPOND_TOKEN; `millpond token create ci` makes one on the platform",
        )
    return text


def _watched(service: Any, first: dict[str, Any], *, quiet: bool) -> dict[str, Any]:
    """Wait for the end of a run; each step's change is a line."""
    view, seen = first, dict[str, str]()
    for view in service.watch(first["run"]):
        for name, step in view["steps"].items():
            word = f"{step['state']} as before" if step["cached_from"] else step["state"]
            if seen.get(name) == word:
                continue
            seen[name] = word
            if not quiet and step["state"] != "queued":
                took = f"  {seconds_text(step['seconds'])}" if step["seconds"] else ""
                note(f"  {name}  {paint(word, step['state'], sys.stderr)}{took}")
    return view


def _tell_end(view: dict[str, Any]) -> None:
    from millpond.cli.running import show_results, tell_step_error

    for name, step in view["steps"].items():
        if step["state"] == "failed" and "error" in step:
            tell_step_error(name, step["error"], step.get("last_lines", ()))
    note()
    word = paint(view["state"], view["state"], sys.stderr, bold=True)
    note(f"{view['pipeline']} {word}" + (f": {view['error']}" if view["error"] else ""))
    show_results(view["results"])
    if view["state"] != "succeeded":
        hint("the link shows each step and what it printed")
