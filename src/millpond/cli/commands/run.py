"""``millpond run``: a pipeline, live."""

from __future__ import annotations

from pathlib import Path

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options


@click.command("run")
@click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE")
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipeline"
)
@click.option("--only", multiple=True, metavar="STEP", help="Run this step and what it needs")
@click.option("--force", multiple=True, metavar="STEP", help="Run this step even if unchanged, or: all")
@click.option("--offline", is_flag=True, help="Never use the network to install the environment")
@click.option("-v", "--verbose", is_flag=True, help="Also show what the steps print")
@file_option
@json_option
@target_options
@pass_session
@click.pass_context
def command(
    context: click.Context,
    session: Session,
    pipeline: Path,
    parameters: tuple[str, ...],
    only: tuple[str, ...],
    force: tuple[str, ...],
    offline: bool,
    verbose: bool,
) -> None:
    """Run PIPELINE, a file or a folder with pipeline.yaml, on this folder's platform.

    The platform has to be up. Steps whose code, inputs and parameters are unchanged are not run again.
    Where the platform is on a cluster, the steps run on this machine and reach it by forwarded ports.
    """
    from millpond.cli.running import run_pipeline

    code = run_pipeline(
        session.target(),
        session.folder / pipeline,
        parse_parameters(parameters),
        only=only,
        force=force,
        offline=offline,
        logs=verbose,
        as_json=session.json,
    )
    context.exit(code)


def parse_parameters(words: tuple[str, ...]) -> dict[str, str]:
    """``name=value`` words as a mapping.

    Raises:
        UsageError: a word has no ``=``.
    """
    from millpond.model.errors import UsageError

    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise UsageError(f"-p {word} is no NAME=VALUE", hint="write it as -p date=2026-11-22")
        found[name] = value
    return found
