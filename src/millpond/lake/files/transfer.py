"""Copying many files at once: what goes where is worked out first, then done in parallel."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path

from millpond.lake.files.place import Place
from millpond.lake.files.side import Item, Side, Tell
from millpond.model.errors import MillpondError, UsageError

WORKERS = 12
_AHEAD = 4  # tasks that wait for each worker, so that a long list is never all in memory


@dataclass(frozen=True)
class Move:
    """One file and where it goes."""

    item: Item
    source: Side
    key: str
    target: Side

    def as_dict(self) -> dict[str, object]:
        """Plain data."""
        return {
            "from": self.source.show(self.item.key),
            "to": self.target.show(self.key),
            "size": self.item.size,
        }


@dataclass
class Outcome:
    """What came of a transfer."""

    files: int = 0
    bytes: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def moves(sources: Iterable[Place], target: Place, *, recursive: bool = False) -> list[Move]:
    """What a copy does.

    A file goes to the target, or into it where the target is a folder; a folder's contents go into the
    target; what a pattern matches goes there with its path from the pattern's first wildcard on.

    Raises:
        MillpondError: a source is not there, or is a folder and `recursive` is not said.
    """
    sources = list(sources)
    found: list[Move] = []
    many = len(sources) > 1 or any(source.is_pattern for source in sources)
    for source in sources:
        if source.is_pattern:
            items = list(source.matches())
            if not items:
                raise MillpondError(
                    f"nothing matches {source.text}", hint="* stays in a folder, ** crosses them"
                )
            found += [_into(source, item, source.base, target) for item in items]
            continue
        item = source.side.stat(source.key)
        if item is not None:
            into = many or target.key.endswith("/") or _is_folder(target)
            name = item.key.rsplit("/", 1)[-1]
            key = _joined(target, name) if into else target.key
            found.append(Move(item, source.side, key, target.side))
            continue
        inside = source.side.walk(source.folder)
        first = next(inside, None)
        if first is None:
            raise MillpondError(
                f"there is no {source.text}",
                hint=None
                if source.local
                else "a file of this machine is written ./NAME; `millpond lake ls` lists",
            )
        if not recursive:
            raise UsageError(f"{source.text} is a folder", hint="-r copies what is in it")
        found += [_into(source, each, source.folder, target) for each in (first, *inside)]
    _check(found)
    return found


def _into(source: Place, item: Item, base: str, target: Place) -> Move:
    name = item.key[len(base) :]
    if ".." in name.split("/") or name.startswith("/"):
        raise MillpondError(
            f"{source.side.show(item.key)} would leave the target", hint="copy it by its own name"
        )
    return Move(item, source.side, _joined(target, name), target.side)


def _joined(target: Place, name: str) -> str:
    return f"{target.folder}{name}"


def _is_folder(target: Place) -> bool:
    """Whether a file that is copied there goes into it."""
    if target.local:
        return Path(target.key).is_dir()
    # A bucket is one, and so is what has something below it.
    return "/" not in target.key or next(iter(_some(target)), None) is not None


def _some(target: Place) -> Iterator[object]:
    level = target.side.level(target.folder)
    yield from level.folders
    yield from level.items


def _check(found: list[Move]) -> None:
    seen: dict[tuple[int, str], Move] = {}
    for move in found:
        before = seen.setdefault((id(move.target), move.key), move)
        if before is not move:
            raise MillpondError(
                f"{before.source.show(before.item.key)} and {move.source.show(move.item.key)} would both "
                f"become {move.target.show(move.key)}",
                hint="copy them one by one",
            )
        if move.source.show(move.item.key) == move.target.show(move.key):
            raise UsageError(f"{move.target.show(move.key)} would be copied to itself")


def run(found: Iterable[Move], tell: Tell, *, workers: int = WORKERS) -> Outcome:
    """Copy files in parallel; one that fails keeps no other from going on.

    Interrupted, it ends with the pieces that are under way; parts of large files stay in the store, and the
    next call goes on from them.

    Args:
        tell: is told bytes as they move, from several threads, one at a time.
    """
    outcome = Outcome()
    lock = threading.Lock()
    stopped = threading.Event()

    def told(count: int) -> None:
        if stopped.is_set():
            raise InterruptedError("the transfer was given up")
        with lock:
            tell(count)

    def one(move: Move) -> int:
        _carry(move, told)
        return move.item.size

    def take(futures: Iterable[Future[int]]) -> None:
        for future in futures:
            move = running.pop(future)
            try:
                outcome.bytes += future.result()
                outcome.files += 1
            except (MillpondError, OSError) as error:
                outcome.failed[move.source.show(move.item.key)] = str(error)

    running: dict[Future[int], Move] = {}
    pool = ThreadPoolExecutor(workers, thread_name_prefix="transfer")
    try:
        for move in found:
            running[pool.submit(one, move)] = move
            if len(running) >= workers * _AHEAD:
                take(wait(running, return_when=FIRST_COMPLETED).done)
        take(list(running))
    except BaseException:
        # What is under way ends with the piece that it is at.
        stopped.set()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    return outcome


def _carry(move: Move, tell: Tell) -> None:
    from millpond.lake.files.folder import Folder

    if isinstance(move.target, Folder):
        move.source.fetch(move.item, move.target.path(move.key), tell)
    elif isinstance(move.source, Folder):
        move.target.store(move.source.path(move.item.key), move.key, tell)
    elif move.source.copy(move.item, move.target, move.key):
        tell(move.item.size)
    else:
        # From one store to another: through a file, so that large ones go in parts on both ways.
        with tempfile.TemporaryDirectory(prefix="millpond-") as folder:
            path = Path(folder, "file")
            move.source.fetch(move.item, path, lambda count: None)
            move.target.store(path, move.key, tell)
