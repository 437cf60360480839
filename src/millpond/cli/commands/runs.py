"""``millpond runs``: what was run, and what came of it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import click

from millpond.cli import completion
from millpond.cli.session import Session, file_option, json_option, pass_session
from millpond.cli.style import columns, faint, hint, note, out, paint, seconds_text, strong

if TYPE_CHECKING:
    from millpond.pipelines.record import RunRecord, StepRecord


@click.group("runs", invoke_without_command=True)
@click.option("-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, help="How many")
@click.option("--pipeline", metavar="NAME", help="Of one pipeline")
@file_option
@json_option
@pass_session
@click.pass_context
def command(context: click.Context, session: Session, lines: int, pipeline: str | None) -> None:
    """List the runs, the latest first, or show one: millpond runs show ID."""
    if context.invoked_subcommand is not None:
        return
    from millpond.pipelines.record import Runs

    records = Runs(session.workspace().runs).list(pipeline)[:lines]
    if session.json:
        out(json.dumps([record.as_dict() for record in records], default=str))
        return
    if not records:
        note("nothing has been run here")
        hint("`millpond run PIPELINE` runs one, `millpond demo flights` a whole demo")
        return
    rows = [
        (
            record.id,
            record.pipeline,
            record.status,
            _time(record.started),
            seconds_text(record.seconds) if record.seconds is not None else "",
            _counts(record),
        )
        for record in records
    ]
    heads = ("ID", "PIPELINE", "STATUS", "STARTED", "TOOK", "STEPS")
    for line in columns(rows, heads=heads, paints={2: lambda cell: paint(cell, cell), 3: faint}):
        out(line)


@command.command("show")
@click.argument("id", shell_complete=completion.runs, default="last")
@click.option("--step", metavar="STEP", help="Show the log of a step")
@file_option
@json_option
@pass_session
def show(session: Session, id: str, step: str | None) -> None:  # noqa: A002 - what the user types
    """Show run ID (also its beginning, its last four letters, or: last), with each step."""
    from millpond.cli.running import show_results, tell_step_error
    from millpond.pipelines.record import Runs

    runs = Runs(session.workspace().runs)
    record = runs.find(id)
    if step is not None:
        out(runs.log(record, step).rstrip("\n"))
        return
    if session.json:
        out(json.dumps(record.as_dict(), default=str))
        return
    _head(record)
    out()
    rows = [_row(name, found) for name, found in record.steps.items()]
    heads = ("STEP", "STATUS", "TOOK", "CODE", "OUTPUTS")
    for line in columns(rows, heads=heads, paints={1: lambda cell: paint(cell, cell), 3: faint}):
        out(line)
    show_results(record.results)
    for name, found in record.steps.items():
        if found.error and found.status != "skipped":
            tell_step_error(name, found.error)
    logged = [name for name, found in record.steps.items() if found.log]
    if logged:
        hint(f"`millpond runs show {record.id[-4:]} --step {logged[0]}` shows what a step printed")


def _head(record: RunRecord) -> None:
    parameters = ", ".join(
        f"{name}={value!s}" if value != "" else f'{name}=""' for name, value in record.parameters.items()
    )
    commit = (record.commit or "")[:12] + (" with changes" if record.commit and record.dirty else "")
    facts = [
        ("run", record.id),
        ("pipeline", f"{record.pipeline}  {record.file}"),
        ("status", record.status),
        ("started", _time(record.started)),
        ("took", seconds_text(record.seconds) if record.seconds is not None else ""),
        ("parameters", parameters),
        ("code", commit or record.code[:12]),
        ("environment", str(record.environment.get("key", record.environment.get("lock", "")))[:32]),
    ]
    for line in columns([fact for fact in facts if fact[1]], paints={0: strong}):
        out(line)


def _row(name: str, step: StepRecord) -> tuple[str, ...]:
    outputs = []
    for port, reference in step.outputs.items():
        if reference.by_value:
            shown = json.dumps(reference.value, default=str)
            outputs.append(f"{port}={shown if len(shown) < 40 else shown[:37] + '…'}")
        else:
            rows = f" ({reference.rows:,} rows)" if reference.rows is not None else ""
            outputs.append(f"{port}={reference.uri}{rows}")
    status = f"{step.status}" + (f" after {step.attempts} attempts" if step.attempts > 1 else "")
    return name, status, seconds_text(step.seconds) if step.seconds else "", step.code[:8], "  ".join(outputs)


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def _counts(record: RunRecord) -> str:
    found: dict[str, int] = {}
    for step in record.steps.values():
        found[step.status] = found.get(step.status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in found.items())
