"""``millpond datamill``: what ``run.sh`` becomes; the flags of Data-Mill carried out by Millpond."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from millpond.cli.exit_codes import ExitCode
from millpond.cli.session import Session, pass_session
from millpond.cli.style import note, out, warn

if TYPE_CHECKING:
    from millpond.flavours.datamill import Note
    from millpond.flavours.datamill.actions import Action, Source
    from millpond.targets.local.target import LocalTarget


@click.command(
    "datamill",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("flags", nargs=-1, type=click.UNPROCESSED)
@pass_session
def command(session: Session, flags: Sequence[str]) -> None:
    """Carry out the FLAGS of Data-Mill's run.sh."""
    from millpond.flavours.datamill.actions import plan
    from millpond.flavours.datamill.flags import parse

    for action in plan(parse(flags)):
        _carry_out(session, action)


def _carry_out(session: Session, action: Action) -> None:
    from millpond.flavours.datamill import actions
    from millpond.model.errors import MillpondError

    match action:
        case actions.ShowUsage():
            out(action.text.rstrip())
        case actions.Up():
            from millpond.cli.bringing_up import bring_up
            from millpond.cli.giving import give

            target, selected = _target(session, action.source, tell=True)
            session.remember()
            only = [selected] if selected else []
            bring_up(target, offline=not action.install, only=only, next_step="")
            give(session.source(), target, offline=not action.install, only=only)
        case actions.Down():
            _stop(session)
        case actions.Remove():
            _remove(session, action.source)
        case actions.Destroy():
            from millpond.cli.commands.destroy import destroy

            destroy(_target(session, action.source)[0], yes=False)
        case actions.Shell():
            _shell(session, action.source)
        case actions.NeedsCluster():
            raise MillpondError(str(action), exit_code=ExitCode.FAILED)


def _target(session: Session, source: Source, *, tell: bool = False) -> tuple[LocalTarget, str | None]:
    """The platform that the flags name, with its state in this folder, and the component of ``-c``."""
    from millpond.flavours.datamill import find_flavour, translate
    from millpond.flavours.loader import Source as Flavoured

    path = find_flavour(source.flavour, session.folder)
    session.file, session.state = str(path), session.folder
    found = translate(
        path, target_file=source.target_file, component=source.component, location=source.location
    )
    if tell:
        _tell(found.notes)
    flavoured = Flavoured(path, found.flavour, found.document, folder=session.folder)
    return session.local_target(source=flavoured), found.selected


def _tell(notes: Sequence[Note]) -> None:
    """What stands in for what in one line, what the catalogue lacks in another, and the rest one by one."""
    mapped = [found.text for found in notes if found.kind == "mapped"]
    lacking = [found.subject for found in notes if _lacking(found)]
    if mapped:
        note("; ".join(dict.fromkeys(mapped)))
    if lacking:
        warn(f"left out, as the catalogue does not have them yet: {', '.join(lacking)}")
    for found in notes:
        if found.kind != "mapped" and not _lacking(found):
            warn(found.text)


def _lacking(found: Note) -> bool:
    return found.kind == "left out" and "the catalogue has no component" in found.text


def _stop(session: Session) -> None:
    from millpond.cli.commands.down import stop
    from millpond.targets.local.workspace import Workspace

    stop(Workspace(session.folder))


def _remove(session: Session, source: Source) -> None:
    if source.component is None:
        _stop(session)
        return
    from millpond.cli.busy import busy

    target, selected = _target(session, source)
    assert selected is not None
    with busy(f"stopping {selected}"):
        asyncio.run(target.stop(selected))
    note(f"{selected} is stopped; its data is kept")


def _shell(session: Session, source: Source) -> None:
    from millpond.cli.commands.shell import execute, login, surroundings

    target, selected = _target(session, source)
    execute(login(), surroundings(target, selected))
