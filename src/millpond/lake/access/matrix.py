"""Who may do what, as a table: one row for each user and area, worked out from what the store holds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from millpond.lake.access.register import Group, User
from millpond.lake.access.rules import SHARED, Level


@dataclass(frozen=True)
class Right:
    """One user's right in one area of the lake.

    Attributes:
        area: a bucket (``flights``), or a part of one (``shared/ana/``); ``*`` is everything.
        by: why: ``own``, ``everyone``, ``admin``, or the groups that give it.
    """

    user: str
    area: str
    level: Level
    by: str

    def as_dict(self) -> dict[str, str]:
        """Plain data."""
        return {"user": self.user, "area": self.area, "access": str(self.level), "by": self.by}


def rights(users: Iterable[User], groups: Iterable[Group]) -> list[Right]:
    """Every right that there is; where there is none the store refuses."""
    groups = list(groups)
    found: list[Right] = []
    for user in users:
        if user.admin:
            found.append(Right(user.name, "*", Level.WRITE, "admin"))
        found += [
            Right(user.name, user.name, Level.WRITE, "own"),
            Right(user.name, SHARED, Level.READ, "everyone"),
            Right(user.name, f"{SHARED}/{user.name}/", Level.WRITE, "own"),
        ]
        projects: dict[str, dict[Level, list[str]]] = {}
        for group in groups:
            if user.name in group.members:
                for grant in group.grants:
                    projects.setdefault(grant.bucket, {}).setdefault(grant.level, []).append(group.name)
        for bucket, levels in sorted(projects.items()):
            level = Level.WRITE if Level.WRITE in levels else Level.READ
            found.append(Right(user.name, bucket, level, ", ".join(levels[level])))
    return found


def table(found: Iterable[Right]) -> tuple[list[str], list[list[str]]]:
    """The rights as heads and rows: what is each user's own in one column, a column for each project."""
    by_user: dict[str, dict[str, Right]] = {}
    for right in found:
        by_user.setdefault(right.user, {})[right.area] = right
    fixed = {SHARED, "*"}
    projects = sorted(
        {
            area
            for user, areas in by_user.items()
            for area in areas
            if area not in fixed and area not in (user, f"{SHARED}/{user}/")
        }
    )
    heads = ["USER", "OWN BUCKET", SHARED, f"{SHARED}/USER/", *projects, "ALL OTHERS"]
    rows = []
    for user, areas in by_user.items():
        names = [user, SHARED, f"{SHARED}/{user}/", *projects, "*"]
        every = areas.get("*")
        rows.append([user, *(_cell(every or areas.get(name)) for name in names)])
    return heads, rows


def _cell(right: Right | None) -> str:
    return str(right.level) if right else "-"
