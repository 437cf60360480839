"""Brings the store's users, groups and rights to what the flavour says; a process that `up` starts.

Only what the flavour names, or named before, is touched: users and groups that were made by commands stay.
What left the flavour loses its rights; buckets always stay. What was changed in the store by hand, so that it
does something else than the matrix says, is put right.

Standard input is ``{"wish": …, "before": …}``, two of the flavour's ``lake`` sections; standard output
``{"changed": …}``, sentences on what was changed, or an error as its `as_dict` tells it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from millpond.lake.access.drift import mend
from millpond.lake.access.register import Register
from millpond.lake.access.rules import Level


def fulfil(register: Register, wish: dict[str, Any], before: dict[str, Any]) -> list[str]:
    """Make, change and take away; says what, in sentences. Done again it changes nothing.

    Raises:
        MillpondError: a name is not free, or the store refused.
    """
    told: list[str] = []
    users = {user.name: user for user in register.users()}
    wanted = {*wish.get("users", []), *wish.get("admins", [])}
    for name in sorted(wanted):
        admin = name in wish.get("admins", [])
        if register.add_user(name, admin=admin):
            told.append(f"{name} is {'an administrator' if admin else 'a user'} of the lake")
    for name, members in sorted(wish.get("groups", {}).items()):
        told += _members(register, name, set(members))
    for bucket, project in sorted(wish.get("projects", {}).items()):
        told += _rights(register, bucket, project)

    groups = {group.name: group for group in register.groups()}
    for bucket in sorted(set(before.get("projects", {})) - set(wish.get("projects", {}))):
        for group in groups.values():
            named = {
                *before["projects"][bucket].get("read", []),
                *before["projects"][bucket].get("write", []),
            }
            if group.name in named and any(grant.bucket == bucket for grant in group.grants):
                register.revoke(group.name, bucket)
                told.append(f"{group.name} has no right on {bucket} any more")
    for name in sorted((set(before.get("groups", {})) - set(wish.get("groups", {}))) & set(groups)):
        register.remove_group(name)
        told.append(f"the group {name} is gone")
    known = {*before.get("users", []), *before.get("admins", [])}
    for name in sorted((known - wanted) & set(users)):
        register.remove_user(name)
        told.append(f"{name} has no key and no right any more; the bucket {name} stays")
    return told + [f"put right: {line}" for line in mend(register)]


def _members(register: Register, name: str, wanted: set[str]) -> list[str]:
    there = {group.name: set(group.members) for group in register.groups()}
    new = sorted(wanted - there.get(name, set()))
    if new or name not in there:
        register.add_group(name, tuple(new))
    gone = tuple(sorted(there.get(name, set()) - wanted))
    if gone:
        register.leave_group(name, gone)
    told = [f"{', '.join(new)} joined the group {name}"] if new else []
    return told + ([f"{', '.join(gone)} left the group {name}"] if gone else [])


def _rights(register: Register, bucket: str, project: dict[str, list[str]]) -> list[str]:
    told = []
    levels = dict.fromkeys(project.get("read", []), Level.READ)
    levels |= dict.fromkeys(project.get("write", []), Level.WRITE)
    for name, level in sorted(levels.items()):
        if register.grant(name, bucket, level):
            told.append(f"{name} may {'read and write' if level is Level.WRITE else 'read'} {bucket}")
    for group in register.groups():
        if group.name not in levels and any(grant.bucket == bucket for grant in group.grants):
            register.revoke(group.name, bucket)
            told.append(f"{group.name} has no right on {bucket} any more")
    return told


def main() -> None:
    """Read what is wished, fulfil it, tell what was changed."""
    from millpond.model.errors import MillpondError

    asked = json.load(sys.stdin)
    try:
        json.dump({"changed": fulfil(Register(os.environ), asked["wish"], asked["before"])}, sys.stdout)
    except MillpondError as error:
        json.dump(error.as_dict(), sys.stdout)


if __name__ == "__main__":
    main()
