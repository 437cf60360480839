"""Fan-out: the items that ``each:`` stands for when a run begins, and the names of the tasks that it makes.

A step that runs once per item is one task per item, named ``step[item]``. A step that takes its output gets
the list of all of them, in the order of the items; or, if it runs for each of the same items, the one of its
own item.
"""

from __future__ import annotations

import datetime
import fnmatch
import itertools
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from millpond.lake.reference import LakePath
from millpond.lake.store import open_store
from millpond.model.errors import UsageError
from millpond.model.expression import Reference
from millpond.pipelines.document import Dates, Objects, Step
from millpond.pipelines.template import render

MOST = 10_000
_PLAIN = re.compile(r"[A-Za-z0-9_.-]{1,60}")


@dataclass(frozen=True)
class Fan:
    """The items of one step.

    Attributes:
        items: the values of the names under ``each``, one mapping per task.
        tasks: the tasks' names, in the same order.
    """

    items: tuple[dict[str, Any], ...]
    tasks: tuple[str, ...]

    def like(self, other: Fan) -> bool:
        """Whether the other has the very same items, so that each task of one belongs to one of the other."""
        return self.items == other.items


def fan_of(name: str, step: Step, resolve: Callable[[Reference], Any]) -> Fan | None:
    """What a step fans out into; None for a step without ``each``.

    Args:
        resolve: the values of parameters and the run.

    Raises:
        UsageError: the value is no list, no range of dates, or has more than 10,000 items.
    """
    if not step.each:
        return None
    lists = {key: _items(name, key, source, resolve) for key, source in step.each.items()}
    items = tuple(dict(zip(lists, values, strict=True)) for values in itertools.product(*lists.values()))
    if len(items) > MOST:
        raise UsageError(
            f"the step {name} would run {len(items):,} times",
            hint=f"{MOST:,} items are the most; make them larger",
        )
    return Fan(items, tuple(f"{name}[{label}]" for label in _labels(items)))


def _items(name: str, key: str, source: Any, resolve: Callable[[Reference], Any]) -> list[Any]:
    if isinstance(source, Dates):
        return _dates(name, key, source, resolve)
    if isinstance(source, Objects):
        return _objects(str(render(source.objects, resolve)))
    found = render(source, resolve)
    if not isinstance(found, list):
        raise UsageError(f"{key} of the step {name} is {found!r}, which is no list")
    return [item.isoformat() if isinstance(item, datetime.date) else item for item in found]


def _dates(name: str, key: str, source: Dates, resolve: Callable[[Reference], Any]) -> list[str]:
    ends = []
    for value in (source.first, source.last):
        found = render(value, resolve)
        try:
            ends.append(
                found if isinstance(found, datetime.date) else datetime.date.fromisoformat(str(found))
            )
        except ValueError:
            raise UsageError(
                f"{key} of the step {name} is no date: {found}", hint="write 2013-01-31"
            ) from None
    return [day.isoformat() for day in dates(ends[0], ends[1], source.by)]


def dates(first: datetime.date, last: datetime.date, by: str) -> list[datetime.date]:
    """The first days of all days, weeks, months or years from one date to another, both included."""
    found = []
    number = 0
    while (day := _after(first, by, number)) <= last:
        found.append(day)
        number += 1
    return found


def _after(first: datetime.date, by: str, number: int) -> datetime.date:
    if by in ("day", "week"):
        return first + datetime.timedelta(days=number * (7 if by == "week" else 1))
    months = number * (12 if by == "year" else 1) + first.month - 1
    year, month = first.year + months // 12, months % 12 + 1
    last = (datetime.date(year + month // 12, month % 12 + 1, 1) - datetime.timedelta(days=1)).day
    return datetime.date(year, month, min(first.day, last))


def _objects(pattern: str) -> list[str]:
    place = LakePath.parse(pattern)
    fixed = re.split(r"[*?\[]", place.key, maxsplit=1)[0]
    keys = open_store().list(place.bucket, fixed)
    # A star does not pass a slash, as in a shell.
    return [
        f"{place.bucket}/{key}"
        for key in keys
        if key.count("/") == place.key.count("/") and fnmatch.fnmatchcase(key, place.key)
    ]


def _labels(items: tuple[dict[str, Any], ...]) -> list[str]:
    """Short names of the items: their values where these are plain and differ, else their numbers."""
    labels = [",".join(_label(value) for value in item.values()) for item in items]
    plain = all(_PLAIN.fullmatch(part) for label in labels for part in label.split(","))
    return labels if plain and len(set(labels)) == len(labels) else [str(n) for n in range(len(items))]


def _label(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list):
        return ""
    return json.dumps(value)
