"""``millpond lake user|group|grant|revoke|matrix``: who may do what in the lake."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import click

from millpond.cli.session import Session, file_option, json_option, pass_session, target_options
from millpond.cli.style import columns, hint, note, out, strong, warn

if TYPE_CHECKING:
    from millpond.lake.access.register import Register


def _register(session: Session) -> Register:
    """The store's users and groups, from inside the environment of the lake."""
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.access.register import Register

    return Register(os.environ)


@click.group("user")
def user() -> None:
    """Users of the lake: each has a bucket of their own, and a key."""


@user.command("add")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--group", "groups", multiple=True, metavar="GROUP", help="Join a group, made where it is not there"
)
@click.option("--admin", is_flag=True, help="May do everything, and change users and rights")
@file_option
@target_options
@pass_session
def add_user(session: Session, names: tuple[str, ...], groups: tuple[str, ...], admin: bool) -> None:
    """Make users. Each gets a bucket of their own name, and may write below shared/NAME/."""
    register = _register(session)
    for name in names:
        new = register.add_user(name, admin=admin)
        note(f"{name} is a user of the lake" if new else f"{name} is a user of the lake already")
    for name in groups:
        register.add_group(name, names)
    hint(f"`millpond lake user key {names[-1]}` makes their key")


@user.command("list")
@file_option
@target_options
@json_option
@pass_session
def list_users(session: Session) -> None:
    """List the users."""
    found = _register(session).users()
    if session.json:
        out(
            json.dumps(
                [{"name": u.name, "groups": u.groups, "admin": u.admin, "keys": u.keys} for u in found]
            )
        )
        return
    rows = [
        (u.name, ", ".join(u.groups), "admin" if u.admin else "", ", ".join(u.keys) or "no key")
        for u in found
    ]
    for line in columns(rows, heads=("NAME", "GROUPS", "ROLE", "KEY ID"), paints={0: strong}):
        out(line)
    if not found:
        note("the lake has no users but the platform's own")
        hint("`millpond lake user add NAME` makes one")


@user.command("remove")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@file_option
@target_options
@pass_session
def remove_user(session: Session, names: tuple[str, ...], yes: bool) -> None:
    """Take users' keys and rights away. Their buckets stay, for an administrator to look after."""
    from millpond.cli.asking import agreed

    register = _register(session)
    for name in names:
        register.user(name)
    who = ", ".join(names)
    if not yes and not agreed(
        f"Take the keys and rights of {who} away?",
        unheard=f"{who} would lose their keys and rights, and nobody is there to agree",
        hint="--yes agrees",
    ):
        return
    for name in names:
        register.remove_user(name)
        note(f"{name} has no key and no right any more; the bucket {name} stays")


@user.command("key")
@click.argument("name")
@click.option("--rotate", is_flag=True, help="Replace the key that they have, which stops working at once")
@file_option
@target_options
@json_option
@pass_session
def key(session: Session, name: str, rotate: bool) -> None:
    """Make the key of user NAME and print it, this once: it is kept nowhere but in the store.

    The lines are what programs look for in their environment; --json prints the key alone.
    """
    register = _register(session)
    made = register.make_key(name, rotate=rotate)
    if session.json:
        out(json.dumps({"user": name, "access_key": made.id, "secret_key": made.secret}))
        return
    if register.endpoint:
        out(f"AWS_ENDPOINT_URL={register.endpoint}")
    out(f"AWS_ACCESS_KEY_ID={made.id}")
    out(f"AWS_SECRET_ACCESS_KEY={made.secret}")


@click.group("group")
def group() -> None:
    """Groups of users, who share rights on projects' buckets."""


@group.command("add")
@click.argument("name")
@click.argument("members", nargs=-1, metavar="[USER]...")
@file_option
@target_options
@pass_session
def add_group(session: Session, name: str, members: tuple[str, ...]) -> None:
    """Make the group NAME where there is none, and let USERs join it."""
    _register(session).add_group(name, members)
    note(f"the group {name} has {', '.join(members)}" if members else f"there is a group {name}")


@group.command("list")
@file_option
@target_options
@json_option
@pass_session
def list_groups(session: Session) -> None:
    """List the groups, with their users and rights."""
    found = _register(session).groups()
    if session.json:
        listed = [
            {
                "name": g.name,
                "users": g.members,
                "grants": {grant.bucket: str(grant.level) for grant in g.grants},
            }
            for g in found
        ]
        out(json.dumps(listed))
        return
    rows = [
        (g.name, ", ".join(g.members), ", ".join(f"{grant.bucket} ({grant.level})" for grant in g.grants))
        for g in found
    ]
    for line in columns(rows, heads=("NAME", "USERS", "BUCKETS"), paints={0: strong}):
        out(line)
    if not found:
        note("the lake has no groups")
        hint("`millpond lake group add NAME USER…` makes one")


@group.command("remove")
@click.argument("name")
@click.argument("members", nargs=-1, metavar="[USER]...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask")
@file_option
@target_options
@pass_session
def remove_group(session: Session, name: str, members: tuple[str, ...], yes: bool) -> None:
    """Let USERs leave the group NAME; without a USER, take the group and its rights away."""
    from millpond.cli.asking import agreed

    register = _register(session)
    if members:
        register.leave_group(name, members)
        note(f"{', '.join(members)} left the group {name}")
        return
    found = register.group(name)
    if not yes and not agreed(
        f"Take the group {name} with {len(found.members)} users and {len(found.grants)} rights away?",
        unheard=f"the group {name} would lose its rights, and nobody is there to agree",
        hint="--yes agrees",
    ):
        return
    register.remove_group(name)
    note(f"the group {name} is gone; its users and buckets stay")


@click.command("grant")
@click.argument("bucket")
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@click.option("--write", is_flag=True, help="Read, write and delete; reading alone without it")
@file_option
@target_options
@pass_session
def grant(session: Session, bucket: str, groups: tuple[str, ...], write: bool) -> None:
    """Let GROUPs use the project's BUCKET, which is made where there is none."""
    register = _register(session)
    from millpond.lake.access.rules import Level

    for name in groups:
        register.grant(name, bucket, Level.WRITE if write else Level.READ)
        note(f"the group {name} may {'read and write' if write else 'read'} {bucket}")


@click.command("revoke")
@click.argument("bucket")
@click.argument("groups", nargs=-1, required=True, metavar="GROUP...")
@file_option
@target_options
@pass_session
def revoke(session: Session, bucket: str, groups: tuple[str, ...]) -> None:
    """Take the right of GROUPs on the project's BUCKET away."""
    register = _register(session)
    for name in groups:
        register.revoke(name, bucket)
        note(f"the group {name} has no right on {bucket} any more")


@click.command("matrix")
@click.option(
    "--check", is_flag=True, help="Say only what was changed by hand in the store; exit 1 if any was"
)
@click.option("--mend", is_flag=True, help="Put right what was changed by hand")
@file_option
@target_options
@json_option
@pass_session
def matrix(session: Session, check: bool, mend: bool) -> None:
    """Show who may read and write what. Where it says -, the store refuses; write is also to delete.

    What was changed in the store by hand, so that it does something else, is told below.
    """
    register = _register(session)
    from millpond.lake.access.drift import drifts
    from millpond.lake.access.drift import mend as put_right
    from millpond.lake.access.matrix import rights, table

    if mend:
        _listed(session, put_right(register), "put right: ", "nothing was changed by hand")
        return
    changed = [drift.told for drift in drifts(register)]
    if check:
        _listed(session, changed, "", "the store does what the matrix says")
        raise click.exceptions.Exit(1 if changed else 0)
    found = rights(register.users(), register.groups())
    if session.json:
        out(json.dumps([right.as_dict() for right in found]))
    else:
        heads, rows = table(found)
        for line in columns(rows, heads=heads, paints={0: strong}):
            out(line)
        if not found:
            note("the lake has no users but the platform's own")
            hint("`millpond lake user add NAME` makes one")
    for line in changed:
        warn(f"changed by hand: {line}")
    if changed:
        hint("`millpond lake matrix --mend` puts it right, as does `millpond up` what the flavour names")


def _listed(session: Session, lines: list[str], before: str, nothing: str) -> None:
    if session.json:
        out(json.dumps(lines))
        return
    for line in lines:
        out(before + line)
    if not lines:
        note(nothing)
