"""The command of `millpond repo` that says who opens an encrypted repository, and lets others in."""

from __future__ import annotations

import json

import click

from millpond.cli.session import Session, json_option, long_file_option, pass_session
from millpond.cli.style import columns, faint, hint, note, out, strong


@click.command("key")
@click.argument("repo", metavar="REPO")
@click.option("--add", multiple=True, metavar="PUBLIC-KEY", help="Let this key of age open it, too")
@click.option("--remove", multiple=True, metavar="PUBLIC-KEY", help="Let this key open it no more")
@click.option("--rotate", is_flag=True, help="Make yourself a new key, and let it in where yours was")
@long_file_option
@json_option
@pass_session
def key(session: Session, repo: str, add: tuple[str, ...], remove: tuple[str, ...], rotate: bool) -> None:
    """List the public keys that open the encrypted REPO, or change them.

    The data is not written again: who had a copy of what REPO was encrypted with can still read it.
    """
    from millpond.cli.inside import go_inside

    go_inside(session, "lake")
    from millpond.lake.repository import places
    from millpond.lake.repository.keys import KeyFile, opened, rewrite
    from millpond.model.errors import MillpondError, did_you_mean

    if not places.find(repo).encrypted:
        raise MillpondError(f"{repo} is not encrypted", hint="millpond repo create NAME --encrypt makes one")
    keys, objects = KeyFile(), places.plain_objects(repo)
    found = opened(objects, repo, keys)
    wanted = [*found.recipients, *(item for item in add if item not in found.recipients)]
    for item in remove:
        if item not in wanted:
            raise MillpondError(f"{item} does not open {repo}", hint=did_you_mean(item, wanted))
        wanted.remove(item)
    mine = {str(identity.to_public()) for identity in keys.identities()}
    if rotate:
        # The old one stays in the file, for what else it opens.
        wanted = [keys.renew(), *(item for item in wanted if item not in mine)]
    if wanted != list(found.recipients):
        rewrite(objects, found, tuple(wanted))
    mine = {str(identity.to_public()) for identity in keys.identities()}
    if session.json:
        out(json.dumps([{"key": item, "own": item in mine} for item in wanted]))
        return
    rows = [(item, "yours" if item in mine else "") for item in wanted]
    for line in columns(rows, paints={0: strong, 1: faint}):
        out(line)
    if rotate:
        note(f"{keys.path} has a new key at its head; the others are still there for what they open")
    if not mine & set(wanted):
        hint("none of your keys opens it any more")


COMMANDS = (key,)
