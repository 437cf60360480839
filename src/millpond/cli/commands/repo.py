"""``millpond repo``: versioned repositories in the lake."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import click

from millpond.cli import repo_checkouts, repo_files, repo_keys, repo_upkeep
from millpond.cli.repositories import SPEC, opened, split
from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import bytes_text, columns, faint, hint, note, out, plural, strong


@click.group("repo")
def command() -> None:
    """Versioned repositories: files under branches and commits, in the lake.

    REPO is a repository's name; REPO@REF one of its branches, tags or commits, such as flights@main,
    flights@v1, flights@3f2a91c0 or flights@main~1.
    """


@command.command("create")
@click.argument("name")
@click.option("--encrypt", is_flag=True, help="Let the store keep nothing that it can read")
@long_file_option
@json_option
@pass_session
def create(session: Session, name: str, encrypt: bool) -> None:
    """Make the repository NAME, with the branch main.

    An encrypted one opens with the key in your key file, which is made where there is none.
    """
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.repository import places

    made = places.create(name, encrypt=encrypt)
    if session.json:
        out(json.dumps(made.as_dict()))
        return
    note(f"{name} is made at {made.objects.uri}")
    if encrypt:
        from millpond.lake.repository.keys import KeyFile

        note(
            f"it is encrypted for the key in {KeyFile().path}: without a copy of that file, all of it is lost"
        )
    hint(f"`millpond repo put {name} FOLDER` commits files to it")


@command.command("list")
@long_file_option
@json_option
@pass_session
def list_(session: Session) -> None:
    """List the repositories."""
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.repository import places

    every = [_told(name) for name in places.repositories()]
    if session.json:
        out(json.dumps(every))
        return
    if not every:
        note("there is no repository here")
        hint("`millpond repo create NAME` makes one")
        return
    rows = []
    for item in every:
        if item.get("locked"):
            rows.append((item["name"], "encrypted", "", "", "no key here opens it"))
            continue
        head = item["head"] or {}
        files, size = head.get("files", 0), bytes_text(head.get("bytes", 0))
        branches = ", ".join(item["branches"])
        rows.append((item["name"], plural(files, "file"), size, (head.get("time") or "")[:19], branches))
    heads = ("NAME", "FILES", "SIZE", "LAST COMMIT", "BRANCHES")
    for line in columns(rows, heads=heads, paints={0: strong, 3: faint}):
        out(line)


def _told(name: str) -> Mapping[str, Any]:
    from millpond.lake.repository import places
    from millpond.lake.repository.keys import LockedError

    try:
        return places.find(name).as_dict()
    except LockedError:
        return {"name": name, "encrypted": True, "locked": True}


@command.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask")
@long_file_option
@pass_session
def delete(session: Session, name: str, yes: bool) -> None:
    """Delete the repository NAME with all its commits, after a question."""
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.repository import places

    objects = places.plain_objects(name)
    if not yes:
        click.confirm(f"delete {name} at {objects.uri} with all its commits?", abort=True, err=True)
    count = places.delete(name)
    note(f"{name} is gone, {plural(count, 'object')}")


@command.command("branch")
@click.argument("repo", metavar=SPEC)
@click.argument("name", required=False)
@click.option("--delete", "gone", is_flag=True, help="Forget the branch NAME; its commits stay until gc")
@long_file_option
@json_option
@pass_session
def branch(session: Session, repo: str, name: str | None, gone: bool) -> None:
    """List the branches, or make the branch NAME at REPO's commit."""
    _names(session, "branch", repo, name, gone)


@command.command("tag")
@click.argument("repo", metavar=SPEC)
@click.argument("name", required=False)
@click.option("--delete", "gone", is_flag=True, help="Forget the tag NAME")
@long_file_option
@json_option
@pass_session
def tag(session: Session, repo: str, name: str | None, gone: bool) -> None:
    """List the tags, or give REPO's commit the tag NAME."""
    _names(session, "tag", repo, name, gone)


def _names(session: Session, kind: str, repo: str, name: str | None, gone: bool) -> None:
    found, ref = opened(session, repo)
    if name is None:
        refs = [(item, found.refs.get(kind, item).commit) for item in found.refs.names(kind)]  # type: ignore[arg-type]
        if session.json:
            out(json.dumps([{"name": item, "commit": commit} for item, commit in refs]))
            return
        if not refs:
            note(f"{found.name} has no {kind}s")
        for line in columns([(item, commit[:12]) for item, commit in refs], paints={0: strong, 1: faint}):
            out(line)
        return
    if gone:
        was = found.refs.delete(kind, name)  # type: ignore[arg-type]
        note(f"the {kind} {name} is gone; it was at {was.commit[:12]}")
        return
    commit = found.branch(name, ref) if kind == "branch" else found.tag(name, ref)
    if session.json:
        out(json.dumps({"name": name, "commit": commit.id}))
    else:
        note(f"{kind} {name} is at {commit.short}")


@command.command("log")
@click.argument("repo", metavar=SPEC)
@click.argument("patterns", metavar="[PATH]...", nargs=-1)
@click.option("-n", "--lines", type=click.IntRange(min=1), default=20, show_default=True, help="How many")
@long_file_option
@json_option
@pass_session
def log(session: Session, repo: str, patterns: tuple[str, ...], lines: int) -> None:
    """List the commits that led to REPO's, the latest first; with PATHs those that changed such files."""
    from itertools import islice

    found, ref = opened(session, repo)
    commits = list(islice(found.log(ref, *patterns), lines))
    if session.json:
        out(json.dumps([commit.as_dict() for commit in commits]))
        return
    rows = []
    for commit in commits:
        size = commit.summary
        counts = " ".join(f"{sign}{size[key]}" for key, sign in _SIGNS if size.get(key))
        when = commit.as_dict()["time"][:19].replace("T", " ")
        first = commit.message.splitlines()[0] if commit.message else ""
        rows.append((commit.short, when, commit.author, counts, first))
    for line in columns(
        rows, heads=("COMMIT", "TIME", "BY", "FILES", "MESSAGE"), paints={0: strong, 1: faint}
    ):
        out(line)


_SIGNS = (("added", "+"), ("changed", "~"), ("removed", "-"))


@command.command("merge")
@click.argument("repo", metavar="REPO@SOURCE")
@click.option("--into", default="main", show_default=True, metavar="BRANCH", help="The branch that gets it")
@click.option("-m", "--message", default="", metavar="TEXT", help="Why")
@click.option(
    "--take",
    multiple=True,
    metavar="SIDE[=PATTERN]",
    help="What both changed: ours or theirs, for all files or those of a pattern; may be repeated",
)
@long_file_option
@json_option
@pass_session
def merge(session: Session, repo: str, into: str, message: str, take: tuple[str, ...]) -> None:
    """Bring the changes of REPO@SOURCE into a branch; files that both changed are told, and nothing moves."""
    if not split(repo)[1]:
        raise click.UsageError("name what is merged, such as flights@experiment")
    decide = _taking(take)
    found, source = opened(session, repo)
    commit = found.merge(source, into, message=message, take=decide)
    if session.json:
        out(json.dumps(commit.as_dict()))
    else:
        note(f"{into} is at {commit.short}: {commit.message.splitlines()[0]}")


def _taking(take: tuple[str, ...]) -> Callable[[str], str | None]:
    rules = []
    for item in take:
        side, _, pattern = item.partition("=")
        if side not in ("ours", "theirs"):
            raise click.UsageError(f"--take {item}: it is ours or theirs, as in --take theirs=raw/*")
        rules.append((side, pattern))

    def decide(path: str) -> str | None:
        from millpond.lake.repository.paths import matcher

        for side, pattern in rules:
            if matcher([pattern] if pattern else [])(path):
                return side
        return None

    return decide


for _command in (*repo_files.COMMANDS, *repo_checkouts.COMMANDS, *repo_upkeep.COMMANDS, *repo_keys.COMMANDS):
    command.add_command(_command)
