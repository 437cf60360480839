"""``millpond lake ls|cp|cat|rm|du|sync``: files of the lake, of folders and of other clouds."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

import click

from millpond.cli.moving import moving
from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import bytes_text, columns, faint, hint, note, out, plural, strong

if TYPE_CHECKING:
    from millpond.lake.files.place import Place
    from millpond.lake.files.side import Item
    from millpond.lake.files.transfer import Outcome

_paths = click.argument("paths", nargs=-1, required=True, metavar="PATH...")


def _place(session: Session, *texts: str) -> list[Place]:
    """Places, from inside the environment of the lake."""
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.files.place import place

    return [place(text) for text in texts]


@click.command("ls")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("-r", "--recursive", is_flag=True, help="All files below, not only what is directly there")
@file_option
@target_options
@json_option
@pass_session
def ls(session: Session, paths: tuple[str, ...], recursive: bool) -> None:
    """List buckets, or what is at PATHs."""
    from millpond.lake.files.listing import listed
    from millpond.model.errors import MillpondError

    rows: list[tuple[str, str, str]] = []
    plain: list[dict[str, object]] = []
    for place in _place(session, *(paths or ("lake://",))):
        folders, items = listed(place, recursive=recursive)
        if place.key and not folders and not items and not _is_bucket(place):
            raise MillpondError(f"there is no {place.text}", hint="`millpond lake ls` lists the buckets")
        rows += [("", "", place.side.show(folder)) for folder in folders]
        rows += [(bytes_text(item.size), _time(item.modified), place.side.show(item.key)) for item in items]
        plain += [{"path": place.side.show(folder), "type": "folder"} for folder in folders]
        plain += [_plain(place, item) for item in items]
    if session.json:
        out(json.dumps(plain))
        return
    wide = max((len(row[0]) for row in rows), default=0)
    cells = [(size.rjust(wide), when, name) for size, when, name in rows]
    for line in columns(cells if wide else [(row[2],) for row in rows], paints={1: faint} if wide else None):
        out(line)


def _is_bucket(place: Place) -> bool:
    """Whether a place is a bucket, which may be empty."""
    return not place.local and "/" not in place.key.rstrip("/") and not place.is_pattern


def _plain(place: Place, item: Item) -> dict[str, object]:
    found = {"path": place.side.show(item.key), "type": "file", "size": item.size, "modified": item.modified}
    return {**found, "etag": item.etag} if item.etag else found


def _time(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) if at else ""


@click.command("cp")
@_paths
@click.option("-r", "--recursive", is_flag=True, help="Copy what is in a folder")
@click.option("--dry-run", is_flag=True, help="Say what would be copied, and copy nothing")
@click.option("--parallel", type=click.IntRange(1, 64), default=12, show_default=True, help="Files at once")
@file_option
@target_options
@json_option
@pass_session
def cp(session: Session, paths: tuple[str, ...], recursive: bool, dry_run: bool, parallel: int) -> None:
    """Copy files: the last PATH is where they go.

    What is in a folder goes into the target. A large file goes in parts; if that is cut off, the same command
    goes on where it stopped.
    """
    from millpond.model.errors import UsageError

    if len(paths) < 2:
        raise UsageError("cp needs where from and where to", hint="millpond lake cp ./data.csv raw/data.csv")
    *sources, target = _place(session, *paths)
    from millpond.lake.files.transfer import moves

    found = moves(sources, target, recursive=recursive)
    if dry_run:
        _would(session, [("copy", move.as_dict()) for move in found])
        return
    total = sum(move.item.size for move in found)
    begun = time.monotonic()
    from millpond.lake.files.transfer import run

    with moving("copying", total) as tell:
        outcome = run(found, tell, workers=parallel)
    _finish(session, outcome, time.monotonic() - begun, "copied")


def _would(session: Session, acts: list[tuple[str, dict[str, object]]]) -> None:
    """Say what a dry run would do."""
    if session.json:
        out(json.dumps([{"act": act, **move} for act, move in acts]))
        return
    for act, move in acts:
        out(f"{act} {move['from']} to {move['to']}" if "to" in move else f"{act} {move['path']}")
    if not acts:
        note("there is nothing to do")


def _finish(
    session: Session, outcome: Outcome, seconds: float, verb: str, more: str = "", **counts: int
) -> None:
    """Say what came of it.

    Raises:
        MillpondError: some files failed.
    """
    from millpond.cli.style import seconds_text
    from millpond.model.errors import MillpondError

    if session.json:
        facts = {"files": outcome.files, "bytes": outcome.bytes, "seconds": round(seconds, 3), **counts}
        out(json.dumps({**facts, "failed": outcome.failed}))
    else:
        speed = f", {bytes_text(outcome.bytes / seconds)}/s" if seconds > 0.5 and outcome.bytes else ""
        size = bytes_text(outcome.bytes)
        note(f"{verb} {plural(outcome.files, 'file')} ({size}) in {seconds_text(seconds)}{speed}{more}")
    if outcome.failed:
        lines = list(outcome.failed.items())
        raise MillpondError(
            f"{plural(len(lines), 'file')} of {outcome.files + len(lines)} failed",
            hint="the same command again goes on with them",
            details=[f"{name}: {why}" for name, why in lines[:10]],
        )


@click.command("cat")
@_paths
@file_option
@target_options
@pass_session
def cat(session: Session, paths: tuple[str, ...]) -> None:
    """Write files to standard output."""
    from millpond.lake.files.listing import files

    stream = sys.stdout.buffer
    for place in _place(session, *paths):
        for item in files(place):
            for piece in place.side.read(item.key):
                stream.write(piece)
    stream.flush()


@click.command("rm")
@_paths
@click.option("-r", "--recursive", is_flag=True, help="Delete what is in a folder")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing")
@click.option("-y", "--yes", is_flag=True, help="Do not ask, where it is more than one file")
@file_option
@target_options
@json_option
@pass_session
def rm(session: Session, paths: tuple[str, ...], recursive: bool, dry_run: bool, yes: bool) -> None:
    """Delete files of the lake. Asks where it is more than one."""
    from millpond.cli.asking import agreed
    from millpond.lake.files.listing import files
    from millpond.model.errors import UsageError

    places = _place(session, *paths)
    if mine := next((place for place in places if place.local), None):
        raise UsageError(f"{mine.text} is a file of this machine", hint="rm deletes it; this is for the lake")
    found = [(place, list(files(place, recursive=recursive))) for place in places]
    every = [item for _, items in found for item in items]
    if dry_run:
        _would(session, [("delete", {"path": p.side.show(item.key)}) for p, items in found for item in items])
        return
    what = f"{plural(len(every), 'file')} ({bytes_text(sum(item.size for item in every))})"
    if len(every) > 1 and not yes:
        question = f"Delete {what}?"
        if not agreed(
            question, unheard=f"{what} would be deleted, and nobody is there to agree", hint="--yes agrees"
        ):
            return
    from millpond.lake.files.transfer import Outcome

    begun = time.monotonic()
    outcome = Outcome()
    for place, items in found:
        refused = place.side.delete(item.key for item in items)
        outcome.failed.update(refused)
        gone = [item for item in items if item.key not in refused]
        outcome.files += len(gone)
        outcome.bytes += sum(item.size for item in gone)
    _finish(session, outcome, time.monotonic() - begun, "deleted")


@click.command("du")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@file_option
@target_options
@json_option
@pass_session
def du(session: Session, paths: tuple[str, ...]) -> None:
    """Say how much is at PATHs: bytes and files; without a PATH, in each bucket."""
    from millpond.lake.files.listing import files, listed
    from millpond.lake.files.place import place

    places = _place(session, *(paths or ("lake://",)))
    if not paths:
        places = [place(folder) for folder in listed(places[0])[0]]
    rows: list[dict[str, object]] = []
    for each in places:
        count = size = 0
        for item in files(each, recursive=True, missing_ok=not paths):
            count += 1
            size += item.size
        rows.append({"path": each.side.show(each.key), "bytes": size, "files": count})
    if session.json:
        out(json.dumps(rows))
        return
    cells = [
        (bytes_text(float(str(r["bytes"]))), plural(int(str(r["files"])), "file"), str(r["path"]))
        for r in rows
    ]
    wide = max((len(cell[0]) for cell in cells), default=0)
    for line in columns(
        [(size.rjust(wide), files_, name) for size, files_, name in cells], paints={2: strong}
    ):
        out(line)


@click.command("sync")
@click.argument("left", metavar="SOURCE")
@click.argument("right", metavar="TARGET")
@click.option("--delete", is_flag=True, help="Delete what the target has and the source has not")
@click.option("--checksum", is_flag=True, help="Compare contents, not sizes and times")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing")
@click.option("-y", "--yes", is_flag=True, help="Do not ask before files are deleted")
@click.option("--parallel", type=click.IntRange(1, 64), default=12, show_default=True, help="Files at once")
@file_option
@target_options
@json_option
@pass_session
def sync(
    session: Session,
    left: str,
    right: str,
    delete: bool,
    checksum: bool,
    dry_run: bool,
    yes: bool,
    parallel: int,
) -> None:
    """Make the folder TARGET like the folder SOURCE: copy what is new or has changed."""
    from millpond.cli.asking import agreed

    source, target = _place(session, left, right)
    from millpond.lake.files.step import difference
    from millpond.lake.files.transfer import run

    found = difference(source, target, checksum=checksum)
    extra = found.extra if delete else ()
    if dry_run:
        acts = [("copy", move.as_dict()) for move in found.moves]
        _would(session, acts + [("delete", {"path": target.side.show(item.key)}) for item in extra])
        return
    what = plural(len(extra), "file")
    if len(extra) > 1 and not yes:
        question = f"Delete {what} of {right} that {left} has not?"
        if not agreed(
            question, unheard=f"{what} of {right} would be deleted", hint="--yes agrees, --dry-run tells"
        ):
            return
    begun = time.monotonic()
    with moving("copying", sum(move.item.size for move in found.moves)) as tell:
        outcome = run(found.moves, tell, workers=parallel)
    # What could not be copied may be a file that was moved: nothing is deleted then.
    deleted = 0
    if extra and not outcome.failed:
        refused = target.side.delete(item.key for item in extra)
        outcome.failed.update(refused)
        deleted = len(extra) - len(refused)
    more = f"; {found.same} alike" + (f", {deleted} deleted" if deleted else "")
    _finish(session, outcome, time.monotonic() - begun, "copied", more, alike=found.same, deleted=deleted)
    if found.extra and not delete and not session.json:
        hint(f"{right} has {plural(len(found.extra), 'file')} that {left} has not; --delete takes them away")


@click.command("mb")
@_paths
@file_option
@target_options
@pass_session
def mb(session: Session, paths: tuple[str, ...]) -> None:
    """Make buckets."""
    from millpond.model.errors import UsageError

    for place in _place(session, *paths):
        if place.local or "/" in place.key.rstrip("/") or place.is_pattern:
            raise UsageError(f"{place.text} is not the name of a bucket", hint="millpond lake mb NAME")
        place.side.make(place.key.rstrip("/"))
        note(f"there is a bucket {place.key.rstrip('/')}")
