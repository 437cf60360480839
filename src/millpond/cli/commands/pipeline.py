"""``millpond pipeline``: check, draw, run, stop, go on with a pipeline, and run it for many values."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from millpond.cli import completion
from millpond.cli.commands.export import command as export
from millpond.cli.commands.run import command as run
from millpond.cli.commands.run import parse_parameters
from millpond.cli.commands.submission import command as submit
from millpond.cli.commands.submission import withdraw
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, faint, hint, note, out, paint, seconds_text

if TYPE_CHECKING:
    from millpond.pipelines.document import Pipeline
    from millpond.pipelines.record import RunRecord

PATH = click.argument("pipeline", type=click.Path(path_type=Path), metavar="PIPELINE")


@click.group("pipeline")
def command() -> None:
    """Work with pipelines: files that say which steps there are and what they hand to each other."""


command.add_command(run)
command.add_command(submit)
command.add_command(export)
command.add_command(withdraw)


@command.command("check")
@PATH
@click.option("--strict", is_flag=True, help="Refuse kinds and sinks that are not installed here")
@json_option
@pass_session
def check(session: Session, pipeline: Path, strict: bool) -> None:
    """Say whether PIPELINE can run, and every mistake with its line; nothing of it is run or imported."""
    from millpond.pipelines.document import read_pipeline
    from millpond.pipelines.picture import as_data

    found = read_pipeline(session.folder / pipeline, strict=strict)
    if session.json:
        out(json.dumps(as_data(found)))
        return
    counts = [f"{len(found.steps)} step", f"{len(found.parameters)} parameter"]
    out(f"{found.name} is well: {', '.join(one if one[:2] == '1 ' else f'{one}s' for one in counts)}")
    unknown = _unknown(found)
    if unknown:
        note(f"not checked, as they are not installed here: {', '.join(unknown)}")
        hint("--strict refuses them, and names what a slip of the pen may have meant")


def _unknown(pipeline: Pipeline) -> list[str]:
    from millpond.pipelines import extension

    kinds = {f"use: {step.use}" for step in pipeline.steps.values()}
    ports = [port for step in pipeline.steps.values() for port in step.outputs.values()]
    sinks = {f"sink: {name}" for port in ports for name in (port.sink, *(fork.sink for fork in port.forks))}
    return sorted(
        [word for word in kinds if not extension.installed("millpond.steps", word[5:])]
        + [word for word in sinks if not extension.installed("millpond.sinks", word[6:])]
    )


@command.command("graph")
@PATH
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "svg", "json"]),
    default="mermaid",
    show_default=True,
    help="What is written",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a file")
@pass_session
def graph(session: Session, pipeline: Path, form: str, output: Path | None) -> None:
    """Draw PIPELINE: steps, what they hand to each other, conditions and fan-outs."""
    from millpond.pipelines import picture
    from millpond.pipelines.document import read_pipeline

    found = read_pipeline(session.folder / pipeline)
    if form == "json":
        text = json.dumps(picture.as_data(found), indent=1) + "\n"
    else:
        text = picture.svg(found) if form == "svg" else picture.mermaid(found)
    if output is None:
        sys.stdout.write(text)
    else:
        (session.folder / output).write_text(text, encoding="utf-8")
        note(f"wrote {output}")


@command.command("schema")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write it to a file")
@pass_session
def schema(session: Session, output: Path | None) -> None:
    """Print the JSON Schema of pipeline files, with all kinds and sinks that are installed.

    Editors complete and check with it: put `# yaml-language-server: $schema=FILE` into the first line.
    """
    from millpond.pipelines.schema import schema as made

    text = json.dumps(made(), indent=1) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        (session.folder / output).write_text(text, encoding="utf-8")
        note(f"wrote {output}")


@command.command("cancel")
@click.argument("id", shell_complete=completion.runs, default="last")
@file_option
@json_option
@pass_session
@click.pass_context
def cancel(context: click.Context, session: Session, id: str) -> None:  # noqa: A002 - what the user types
    """Stop run ID, also one of another terminal or a workflow engine, and wait until its steps stopped."""
    import time

    from millpond.cli.commands.submission import engine_named
    from millpond.cli.exit_codes import ExitCode
    from millpond.pipelines.handover import control
    from millpond.pipelines.journal import Journal
    from millpond.pipelines.record import Runs, alive

    runs = Runs(session.workspace().runs)
    record = runs.find(id)
    if control.handed(record) and record.status == "running":
        workflow = engine_named(session.local_target(), record.engine)
        record = control.cancel(workflow, runs, record)
    elif not alive(record.folder):
        note(f"{record.id} does not run; it is {record.status}")
    else:
        Journal(record.folder).cancel()
        end = time.monotonic() + 60
        while alive(record.folder) and time.monotonic() < end:
            time.sleep(0.05)
        record = runs.read(record.id)
        if record.status == "running":
            note(f"{record.id} was asked to stop and has not yet")
            context.exit(ExitCode.FAILED)
    if session.json:
        out(json.dumps({"run": record.id, "status": record.status}))
    else:
        out(f"{record.id}  {paint(record.status, record.status)}")


@command.command("resume")
@click.argument("id", shell_complete=completion.runs, default="last")
@click.option("--offline", is_flag=True, help="Never use the network to install the environment")
@click.option("-v", "--verbose", is_flag=True, help="Also show what the steps print")
@file_option
@json_option
@pass_session
@click.pass_context
def resume(context: click.Context, session: Session, id: str, offline: bool, verbose: bool) -> None:  # noqa: A002
    """Go on with run ID where it failed, was cancelled or killed, with the same parameters.

    What is done and unchanged is not run again, also steps that say cache: false. A run that was handed over
    is gone on with by its engine.
    """
    from millpond.cli.running import run_launch
    from millpond.pipelines.handover import control
    from millpond.pipelines.launch import Launch
    from millpond.pipelines.record import Runs, alive

    record = Runs(session.workspace().runs).find(id)
    if alive(record.folder):
        raise click.UsageError(f"the run {record.id} goes on")
    if record.status == "succeeded":
        note(f"{record.id} succeeded; there is nothing to go on with")
        return
    if control.handed(record):
        context.exit(_resumed_by_engine(session, record))
    code = run_launch(
        session.target(), Launch.of_record(record), offline=offline, logs=verbose, as_json=session.json
    )
    context.exit(code)


def _resumed_by_engine(session: Session, record: RunRecord) -> int:
    """Have the run's engine go on with it, watch it to its end, and give the exit code."""
    from millpond.cli.commands.submission import engine_named, watched
    from millpond.cli.exit_codes import ExitCode
    from millpond.cli.running import require_ready
    from millpond.pipelines.handover import control

    if record.status == "running":
        raise click.UsageError(f"the run {record.id} goes on")
    target = session.local_target()
    workflow = engine_named(target, record.engine)
    require_ready(target, ("workflow",))
    control.resume(workflow, record)
    note(f"{workflow.name} goes on with {record.id}")
    view = watched(workflow, record.pipeline, control.engine_run(record), quiet=session.json)
    if session.json:
        out(json.dumps({"run": record.id, "state": view.state}))
    else:
        out(f"{record.id}  {paint(view.state, view.state)}")
    return ExitCode.OK if view.state == "succeeded" else ExitCode.FAILED


@command.command("backfill")
@PATH
@click.option(
    "--parameter", "over", default="date", show_default=True, metavar="NAME", help="Which one varies"
)
@click.option("--from", "first", metavar="DATE", help="The first date")
@click.option("--to", "last", metavar="DATE", help="The last date, which belongs to it")
@click.option(
    "--by",
    type=click.Choice(["day", "week", "month", "year"]),
    default="day",
    show_default=True,
    help="How far apart the dates are",
)
@click.option("--values", metavar="A,B,…", help="These values, in place of dates")
@click.option("-p", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter of all runs")
@click.option("--keep-going", is_flag=True, help="Go on with the next value where a run fails")
@click.option("--offline", is_flag=True, help="Never use the network to install the environment")
@file_option
@json_option
@pass_session
@click.pass_context
def backfill(
    context: click.Context,
    session: Session,
    pipeline: Path,
    over: str,
    first: str | None,
    last: str | None,
    by: str,
    values: str | None,
    parameters: tuple[str, ...],
    keep_going: bool,
    offline: bool,
) -> None:
    """Run PIPELINE once for each date, or each of some values, of a parameter, one after the other.

    What a run shares with earlier ones is not done again, so that a backfill that broke off is just repeated.
    """
    from millpond.cli.running import run_launch
    from millpond.pipelines.launch import Launch

    given = parse_parameters(parameters)
    wanted = _values(first, last, by, values)
    target, runs = session.target(), session.workspace().runs
    # A wrong value is told before the first run begins.
    for value in wanted:
        Launch(session.folder / pipeline, {**given, over: value}, runs=runs)
    rows: list[tuple[str, str, str, str]] = []
    worst = 0
    for value in wanted:
        note(f"{over}={value}")
        launch = Launch(session.folder / pipeline, {**given, over: value}, runs=runs)
        code = run_launch(target, launch, offline=offline, as_json=session.json)
        rows.append((value, launch.id, *_ended(launch)))
        worst = max(worst, code)
        if code == 130 or (code and not keep_going):
            break
    if not session.json:
        note()
        for line in columns(rows, heads=(over.upper(), "RUN", "STATUS", "TOOK"), paints={1: faint}):
            out(line)
        if len(rows) < len(wanted):
            hint(f"{len(wanted) - len(rows)} values are left; the same command goes on")
    context.exit(worst)


def _ended(launch: Any) -> tuple[str, str]:
    from millpond.model.errors import MillpondError
    from millpond.pipelines.record import Runs

    try:
        record = Runs(launch.runs).read(launch.id)
    except MillpondError:
        return "refused", ""
    return record.status, seconds_text(record.seconds) if record.seconds is not None else ""


def _values(first: str | None, last: str | None, by: str, values: str | None) -> list[str]:
    import datetime

    from millpond.model.errors import UsageError
    from millpond.pipelines.fanout import dates

    if values is not None:
        return [value.strip() for value in values.split(",") if value.strip()]
    if first is None or last is None:
        raise UsageError(
            "which values are to be run?", hint="--from 2013-01-01 --to 2013-01-31, or --values a,b"
        )
    try:
        ends = [datetime.date.fromisoformat(end) for end in (first, last)]
    except ValueError as error:
        raise UsageError(f"{error}", hint="write dates as 2013-01-31") from None
    return [day.isoformat() for day in dates(ends[0], ends[1], by)]
