"""Commands of `millpond repo` that take files in and out: put, rm, get, cat, ls, diff."""

from __future__ import annotations

import json
import shutil
import sys
from typing import TYPE_CHECKING, Any

import click

from millpond.cli.repositories import SPEC, opened, transferring
from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import bytes_text, columns, note, out, paint, plural

if TYPE_CHECKING:
    from millpond.lake.repository.commit import Commit
    from millpond.lake.repository.tree import Entry

_BRANCH = "REPO[@BRANCH]"
_message = click.option(
    "-m", "--message", default="", metavar="TEXT", help="Why; made up where it is missing"
)


def told(session: Session, commit: Commit, before: str, branch: str) -> None:
    """Say which commit a branch is at now."""
    if session.json:
        out(json.dumps(commit.as_dict()))
    elif commit.id == before:
        note(f"nothing changed; {branch} is at {commit.short}")
    else:
        note(f"{branch} is at {commit.short}: {commit.message.splitlines()[0]}")


@click.command("put")
@click.argument("repo", metavar=_BRANCH)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option(
    "--to", default="", metavar="PATH", help="Where in the repository; a file's own name, or a folder/"
)
@click.option("--mirror", is_flag=True, help="Remove what is at --to and not in the folder SOURCE")
@_message
@long_file_option
@json_option
@pass_session
def put(session: Session, repo: str, sources: tuple[str, ...], to: str, mirror: bool, message: str) -> None:
    """Commit files, and what is in folders, to a branch: all of it or nothing."""
    found, branch = opened(session, repo)
    to = f"{to}/" if len(sources) > 1 and to and not to.endswith("/") else to
    with transferring("putting") as progress, found.commit(message, branch, progress=progress) as change:
        before = change.base.id
        for source in sources:
            change.put(session.folder / source, to, mirror=mirror)
    assert change.result is not None
    told(session, change.result, before, branch)


@click.command("rm")
@click.argument("repo", metavar=_BRANCH)
@click.argument("patterns", metavar="PATH...", nargs=-1, required=True)
@_message
@long_file_option
@json_option
@pass_session
def remove(session: Session, repo: str, patterns: tuple[str, ...], message: str) -> None:
    """Remove files in a commit; earlier commits keep them. PATH may be a folder or a pattern (* and **)."""
    found, branch = opened(session, repo)
    with found.commit(message, branch) as change:
        change.remove(*patterns)
    assert change.result is not None
    told(session, change.result, change.base.id, branch)


@click.command("get")
@click.argument("repo", metavar=SPEC)
@click.argument("patterns", metavar="[PATH]...", nargs=-1)
@click.option("-o", "--output", default=".", metavar="DIR", help="The folder to write to")
@long_file_option
@json_option
@pass_session
def get(session: Session, repo: str, patterns: tuple[str, ...], output: str) -> None:
    """Write files to a folder, at the paths they have in the repository; all without PATH."""
    found, ref = opened(session, repo)
    with transferring("getting") as progress:
        places = found.get(*patterns, to=session.folder / output, ref=ref, progress=progress)
    if session.json:
        out(json.dumps([str(place) for place in places]))
    else:
        note(f"{plural(len(places), 'file')}, {bytes_text(progress.bytes)}, in {output}")


@click.command("cat")
@click.argument("repo", metavar=SPEC)
@click.argument("path")
@long_file_option
@pass_session
def cat(session: Session, repo: str, path: str) -> None:
    """Print a file."""
    found, ref = opened(session, repo)
    with found.open(path, ref) as file:
        shutil.copyfileobj(file, sys.stdout.buffer, 1 << 20)
    sys.stdout.buffer.flush()


@click.command("ls")
@click.argument("repo", metavar=SPEC)
@click.argument("patterns", metavar="[PATH]...", nargs=-1)
@click.option("-r", "--recursive", is_flag=True, help="All files, not one level")
@long_file_option
@json_option
@pass_session
def ls(session: Session, repo: str, patterns: tuple[str, ...], recursive: bool) -> None:
    """List files and folders; PATH may be a pattern (* and **)."""
    from itertools import chain

    found, ref = opened(session, repo)
    entries = found.files(*patterns, ref=ref)
    plain = len(patterns) <= 1 and not any(sign in pattern for pattern in patterns for sign in "*?[")
    if recursive or not plain:
        rows = [_row(entry.path, [entry]) for entry in entries]
    else:
        from millpond.lake.repository.paths import clean
        from millpond.lake.repository.tree import by_folder

        path = clean("".join(patterns), folder=True)
        prefix = f"{path}/" if path and not any(entry.path == path for entry in entries) else ""
        below = sorted(entries, key=lambda entry: entry.path)
        rows = [_row(prefix + name, group) for name, group in by_folder(below, prefix)]
    if session.json:
        out(json.dumps(rows))
        return
    if not rows:
        note(f"{found.name}@{ref} has no files")
    cells = [
        (bytes_text(row["bytes"]), plural(row["files"], "file") if "files" in row else "", row["path"])
        for row in rows
    ]
    for line in columns(cells, heads=("SIZE", "FILES", "PATH") if any(chain(cells)) else ()):
        out(line)


def _row(path: str, entries: list[Entry]) -> dict[str, Any]:
    size = sum(entry.size for entry in entries)
    if path.endswith("/"):
        return {"path": path, "files": len(entries), "bytes": size}
    return {"path": path, "bytes": size, "sha256": entries[0].sha256}


@click.command("diff")
@click.argument("repo", metavar="REPO")
@click.argument("old")
@click.argument("new", default="main")
@click.argument("patterns", metavar="[PATH]...", nargs=-1)
@click.option("--rows", is_flag=True, help="Compare the rows of tables (CSV, Parquet) that changed")
@click.option(
    "--key", "keys", multiple=True, metavar="COLUMN", help="What rows are known by; may be repeated"
)
@click.option("--samples", type=click.IntRange(0), default=3, show_default=True, help="Rows to show of each")
@long_file_option
@json_option
@pass_session
def diff(
    session: Session,
    repo: str,
    old: str,
    new: str,
    patterns: tuple[str, ...],
    rows: bool,
    keys: tuple[str, ...],
    samples: int,
) -> None:
    """Show what differs between OLD and NEW: files, and with --rows the rows of tables."""
    found, _ = opened(session, repo)
    pairs = found.diff(old, new, *patterns)
    made = [_difference(was, now) for was, now in pairs]
    if rows or keys:
        from millpond.lake.repository.rows import compare, is_table

        for item, (was, now) in zip(made, pairs, strict=True):
            if was and now and is_table(item["path"]):
                item["rows"] = compare(found, was, now, keys=keys, samples=samples)
    if session.json:
        out(json.dumps(made, default=str))
        return
    for item in made:
        sizes = [bytes_text(item[side]) for side in ("was", "is") if item[side] is not None]
        word = item["change"]
        sign = {"added": "+", "removed": "-", "changed": "~"}[word]
        out(f"{paint(sign, _COLOURS[word])} {item['path']}  {' → '.join(sizes)}")
        if table := item.get("rows"):
            _show_rows(table)
    if not made:
        note(f"nothing differs between {old} and {new}")


_COLOURS = {"added": "ok", "removed": "failed", "changed": "warn"}


def _difference(was: Entry | None, now: Entry | None) -> dict[str, Any]:
    entry = now or was
    assert entry is not None
    word = "changed" if was and now else "added" if now else "removed"
    return {
        "path": entry.path,
        "change": word,
        "was": was.size if was else None,
        "is": now.size if now else None,
    }


def _show_rows(table: dict[str, Any]) -> None:
    words = [f"{table[key]:,} {key}" for key in ("added", "changed", "removed") if table.get(key)]
    by = f" by {', '.join(table['keys'])}" if table["keys"] else ""
    out(f"    rows{by}: {', '.join(words) or 'the same'}, {table['same']:,} the same")
    for name, what in (("new_columns", "new columns"), ("lost_columns", "lost columns")):
        if table[name]:
            out(f"    {what}: {', '.join(table[name])}")
    for key, sign in (("added", "+"), ("removed", "-"), ("changed", "~")):
        for row in table["samples"].get(key, []):
            out(f"    {paint(sign, _COLOURS[key])} {json.dumps(row, default=str, ensure_ascii=False)}")


COMMANDS = (put, remove, get, cat, ls, diff)
