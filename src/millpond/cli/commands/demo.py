"""``millpond demo``: from an empty folder to a model that answers."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from millpond.cli.session import Session, pass_session
from millpond.cli.style import columns, hint, note, out, strong


def _complete(context: click.Context, parameter: click.Parameter, word: str) -> list[CompletionItem]:
    from millpond.cli.demos import all_demos

    return [CompletionItem(name) for name in all_demos() if name.startswith(word)]


@click.command("demo")
@click.argument("name", required=False, shell_complete=_complete)
@click.option(
    "-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of its pipeline"
)
@click.option(
    "--csv", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A list of your own"
)
@click.option("--offline", is_flag=True, help="Never use the network; what is not cached is an error")
@click.option("-y", "--yes", is_flag=True, help="Go on without asking where the machine is too small")
@pass_session
@click.pass_context
def command(
    context: click.Context,
    session: Session,
    name: str | None,
    parameters: tuple[str, ...],
    csv: Path | None,
    offline: bool,
    yes: bool,
) -> None:
    """Run demo NAME in this folder: a platform, data, a model, predictions. Without NAME, list them.

    Where there is no millpond.yaml the starter's is written; the platform is brought up and stays up.
    """
    from millpond.cli.bringing_up import bring_up
    from millpond.cli.commands.run import parse_parameters
    from millpond.cli.demos import all_demos, demo
    from millpond.cli.running import run_pipeline
    from millpond.flavours import loader
    from millpond.model.errors import MillpondError
    from millpond.pipelines.launch import Launch

    if name is None:
        from millpond.pipelines.document import read_pipeline

        rows = [(found.name, read_pipeline(found.folder).summary) for found in all_demos().values()]
        for line in columns(rows, paints={0: strong}):
            out(line)
        return
    found = demo(name)
    given = parse_parameters(parameters)
    if csv is not None:
        given["csv"] = str(csv.resolve())
    # What is wrong with a parameter is told before anything is installed.
    Launch(found.folder, given, runs=session.folder)
    try:
        session.locate()
    except MillpondError:
        (session.folder / loader.FILE).write_text(loader.shipped_text("starter"), encoding="utf-8")
        note(f"wrote {loader.FILE} for the flavour starter")
    target = session.local_target()
    bring_up(target, offline=offline, yes=yes, next_step="")
    note()
    code = run_pipeline(target, found.folder, given, offline=offline)
    if code == 0:
        _look_next(target_urls={n: u for n in target.platform.nodes if (u := target.url(n))}, name=name)
    context.exit(code)


def _look_next(target_urls: dict[str, str], name: str) -> None:
    """Where what the demo made can be looked at, and how to go on."""
    note()
    note("what to look at next:")
    if "mlflow" in target_urls:
        note(f"  {target_urls['mlflow']}  experiments, models and plots")
    note("  millpond runs show last   each step with its inputs, outputs and code")
    hint(f"`millpond demo {name}` again runs only what changed; `millpond down` stops the platform")
