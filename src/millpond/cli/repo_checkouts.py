"""Commands of `millpond repo` for folders that follow a branch: checkout, status, commit; and upkeep."""

from __future__ import annotations

import json

import click

from millpond.cli.repo_files import told
from millpond.cli.repositories import SPEC, opened, transferring
from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import note, out, paint, plural

_SIGNS = {"added": ("+", "ok"), "changed": ("~", "warn"), "removed": ("-", "failed")}


@click.command("checkout")
@click.argument("repo", metavar=SPEC)
@click.argument("folder", metavar="[DIR]", required=False)
@click.option("--force", is_flag=True, help="Overwrite what was changed in the folder")
@long_file_option
@json_option
@pass_session
def checkout(session: Session, repo: str, folder: str | None, force: bool) -> None:
    """Bring a folder to a branch, a tag or a commit, writing only what differs."""
    found, ref = opened(session, repo)
    from millpond.lake.repository.checkout import checkout as bring

    place = session.folder / (folder or found.name)
    with transferring("checking out") as progress:
        made, commit = bring(found, ref, place, force=force, progress=progress)
    if session.json:
        out(json.dumps({"folder": str(made.folder), "branch": made.branch, "commit": made.commit}))
    else:
        note(f"{made.folder} is at {commit.short} of {ref}; {plural(progress.files, 'file')} written")


@click.command("status")
@click.argument("folder", metavar="[DIR]", default=".")
@long_file_option
@json_option
@pass_session
def status(session: Session, folder: str) -> None:
    """Show what was changed in a checkout since its commit."""
    found, place = _checkout(session, folder)
    states = place.status(found)
    if session.json:
        at = {"repository": place.repository, "branch": place.branch, "commit": place.commit}
        out(
            json.dumps({**at, "changes": [{"path": path, "change": state} for path, state in states.items()]})
        )
        return
    note(f"{place.repository}, {place.branch or 'no branch'}, at {place.commit[:12]}")
    for path, state in states.items():
        sign, colour = _SIGNS[state]
        out(f"{paint(sign, colour)} {path}")
    if not states:
        note("nothing was changed")


@click.command("commit")
@click.argument("folder", metavar="[DIR]", default=".")
@click.option("-m", "--message", default="", metavar="TEXT", help="Why; made up where it is missing")
@click.option("--branch", default="", metavar="NAME", help="Commit to a new branch")
@long_file_option
@json_option
@pass_session
def commit(session: Session, folder: str, message: str, branch: str) -> None:
    """Commit what was changed in a checkout, removals too."""
    found, place = _checkout(session, folder)
    with transferring("committing") as progress:
        made = place.save(found, message, branch=branch, progress=progress)
    told(session, made, place.commit, branch or place.branch or "")


def _checkout(session: Session, folder: str):  # type: ignore[no-untyped-def] # both types are imported inside
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.repository import places
    from millpond.lake.repository.checkout import Checkout

    place = Checkout.find(session.folder / folder)
    return places.find(place.repository), place


COMMANDS = (checkout, status, commit)
