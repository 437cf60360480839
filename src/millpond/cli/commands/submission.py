"""``millpond pipeline submit``: the same pipeline file, run by Prefect, Airflow or the platform itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.commands.run import parse_parameters
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import hint, note, out, paint

if TYPE_CHECKING:
    from millpond.pipelines.handover.engine import RunView, WorkflowEngine
    from millpond.targets.local.target import LocalTarget

_WAIT = 0.5


@click.command("submit")
@click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE")
@click.option(
    "--engine", type=click.Choice(["prefect", "airflow", "millpond"]), help="The platform's own when left out"
)
@click.option("-p", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of the pipeline")
@click.option("--schedule", metavar="CRON", help="Run it by this schedule, with these parameters")
@click.option("--no-start", is_flag=True, help="Hand it over, start no run now")
@click.option("--wait", is_flag=True, help="Wait until the run is over; its end is the exit code")
@click.option("--offline", is_flag=True, help="Never use the network to install the environment")
@file_option
@json_option
@pass_session
@click.pass_context
def command(
    context: click.Context,
    session: Session,
    pipeline: Path,
    engine: str | None,
    parameters: tuple[str, ...],
    schedule: str | None,
    no_start: bool,
    wait: bool,
    offline: bool,
) -> None:
    """Hand PIPELINE over to the platform's workflow engine, with its schedule, and start a run of it.

    The engine shows the same graph, with each step's log and retries; `millpond runs` has these runs, too.
    """
    import asyncio

    from millpond.cli.environments import installed, shipped
    from millpond.cli.running import require_ready, step_environments
    from millpond.pipelines.clock import wrong_cron
    from millpond.pipelines.document import read_pipeline
    from millpond.pipelines.handover.document import hand_over
    from millpond.pipelines.parameters import as_plain, resolve

    target = session.local_target()
    found = read_pipeline(session.folder / pipeline)
    words = parse_parameters(parameters)
    values = as_plain(resolve(found.parameters, words))
    given = {name: values[name] for name in words}
    if schedule and (wrong := wrong_cron(schedule)):
        raise click.UsageError(wrong)
    workflow = engine_named(target, engine)
    require_ready(target, ("workflow",))
    install = asyncio.run(installed(found.lock or shipped("science"), offline=offline, as_json=session.json))
    place = target.workspace.root / "handover"
    environments = step_environments(
        found, found.steps, target.workspace.root, offline=offline, as_json=session.json
    )
    handover = hand_over(
        found,
        place,
        runs=target.workspace.runs,
        python=install.bin[0] / "python",
        env=install.env,
        defaults=given if schedule else None,
        schedule=schedule,
        environments={name: one.as_dict() for name, one in environments.items()},
    )
    if not session.json:
        note(f"handing {found.name} over to {workflow.name}")
    workflow.deploy(handover, place / found.name)
    told: dict[str, Any] = {"pipeline": found.name, "engine": workflow.name, "version": handover.version}
    told["schedule"] = handover.schedule
    if not no_start:
        run = workflow.start(found.name, given)
        told |= {"engine_run": run, "run": workflow.record(found.name, run)}
        told["url"] = link(target, workflow.name, workflow.page(found.name, run))
    code = 0
    if wait and not no_start:
        view = watched(workflow, found.name, told["engine_run"], quiet=session.json)
        told["state"] = view.state
        told["steps"] = {name: step.__dict__ for name, step in view.steps.items()}
        code = 0 if view.state == "succeeded" else 1
    if session.json:
        out(json.dumps(told))
    else:
        _tell(told)
    context.exit(code)


@click.command("withdraw")
@click.argument("name")
@file_option
@json_option
@pass_session
def withdraw(session: Session, name: str) -> None:
    """Take pipeline NAME back from the platform's own engine: nothing starts it any more. Its runs stay."""
    from millpond.pipelines.handover.millpond import Millpond

    engine = engine_named(session.local_target(), "millpond")
    assert isinstance(engine, Millpond)
    engine.service.withdraw(name)
    if session.json:
        out(json.dumps({"withdrawn": name}))
    else:
        note(f"{name} starts no more by itself")


def engine_named(target: LocalTarget, wanted: str | None) -> WorkflowEngine:
    """The engine of the flavour that is meant: the one that was asked for, else the first."""
    from millpond.pipelines.handover.engine import engine_of

    provider = _provider(target, wanted) if wanted else None
    return engine_of(target.environment({"workflow": provider} if provider else None), wanted)


def _provider(target: LocalTarget, engine: str) -> str | None:
    """The node whose component is an engine of this name."""
    from millpond.pipelines.handover.engine import COMPONENTS

    component = COMPONENTS[engine]
    found = (name for name, node in target.platform.nodes.items() if node.component.name == component)
    return next(found, None)


def link(target: LocalTarget, engine: str, page: str) -> str | None:
    provider = _provider(target, engine)
    base = target.url(provider) if provider else None
    return f"{base.rstrip('/')}{page}" if base else None


def watched(workflow: WorkflowEngine, pipeline: str, run: str, *, quiet: bool) -> RunView:
    """Wait for the end of a run; each step's change is a line."""
    import time

    seen: dict[str, str] = {}
    while True:
        view = workflow.run(pipeline, run)
        for name, step in view.steps.items():
            if seen.get(name) != step.state:
                seen[name] = step.state
                if not quiet and step.state != "queued":
                    note(f"  {name}  {paint(step.state, step.state)}")
        if view.over:
            return view
        time.sleep(_WAIT)


def _tell(told: dict[str, Any]) -> None:
    if told.get("schedule"):
        note(f"{told['engine']} runs it by the schedule {told['schedule']}")
    if "run" not in told:
        return
    if "state" in told:
        out(f"{told['run']}  {paint(told['state'], told['state'])}")
    else:
        out(told["run"])
    if told.get("url"):
        out(told["url"])
    hint(f"`millpond runs show {told['run']}` tells of each step")
