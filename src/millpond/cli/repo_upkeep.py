"""Commands of `millpond repo` that look after a repository: gc and fsck."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import click

from millpond.cli.repositories import opened, transferring
from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import bytes_text, hint, note, out, plural, seconds_text

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(context: click.Context, parameter: click.Parameter, value: str) -> float:
    found = re.fullmatch(r"(\d+)([smhd]?)", value)
    if found is None:
        raise click.BadParameter(f"{value} is no time, such as 12h or 1d")
    return float(int(found[1]) * _UNITS[found[2]])


@click.command("gc")
@click.argument("repo", metavar="REPO")
@click.option(
    "--grace",
    default="1d",
    show_default=True,
    callback=_seconds,
    metavar="TIME",
    help="How long what is not needed stays, such as 12h; longer than any commit takes",
)
@long_file_option
@json_option
@pass_session
def collect(session: Session, repo: str, grace: float) -> None:
    """Delete what no branch or tag leads to: first it is condemned, and after the grace it goes."""
    found, _ = opened(session, repo)
    from millpond.lake.repository.cleanup import clean_up

    with transferring("cleaning up"):
        made = clean_up(found, grace=grace)
    if session.json:
        out(json.dumps(asdict(made)))
        return
    note(f"{plural(made.deleted, 'object')} deleted, {bytes_text(made.deleted_bytes)}")
    note(f"{plural(made.condemned, 'object')} condemned, {bytes_text(made.condemned_bytes)}")
    note(f"{plural(made.kept, 'pack')} kept, {bytes_text(made.kept_bytes)}")
    if made.wait is not None:
        hint(f"call it again in {seconds_text(made.wait)} to delete what is condemned")


@click.command("fsck")
@click.argument("repo", metavar="REPO")
@click.option("--data", is_flag=True, help="Read every byte, too")
@long_file_option
@json_option
@pass_session
def check(session: Session, repo: str, data: bool) -> None:
    """Check that everything is there that branches and tags lead to; with --data that it is undamaged."""
    found, _ = opened(session, repo)
    from millpond.lake.repository.check import check as look

    with transferring("checking") as progress:
        made = look(found, data=data, progress=progress)
    if session.json:
        out(json.dumps(asdict(made)))
    else:
        for problem in made.problems:
            out(problem)
        read = f", {bytes_text(made.bytes)} read" if data else ""
        parts = f"{plural(made.packs, 'pack')}, {plural(made.blobs, 'part')}"
        note(f"{plural(made.commits, 'commit')}, {parts}{read}")
        note(plural(len(made.problems), "problem") if made.problems else "all is well")
    if made.problems:
        raise click.exceptions.Exit(1)


COMMANDS = (collect, check)
