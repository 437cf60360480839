"""``millpond init``: a flavour file to begin with."""

from __future__ import annotations

import click

from millpond.cli import completion
from millpond.cli.session import Session, pass_session
from millpond.cli.style import hint, note


@click.command("init")
@click.argument("flavour", default="starter", shell_complete=completion.flavours)
@pass_session
def command(session: Session, flavour: str) -> None:
    """Write a commented millpond.yaml for FLAVOUR (default: starter) into this folder.

    An existing file is never overwritten.
    """
    from millpond.flavours import loader
    from millpond.model.errors import MillpondError

    text = loader.shipped_text(flavour)
    path = session.folder / loader.FILE
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise MillpondError(
            f"{loader.FILE} is there already",
            hint="`millpond up` brings it up; remove the file first to begin anew",
        ) from None
    except OSError as error:
        raise MillpondError(f"{path} cannot be written: {error.strerror}") from None
    note(f"wrote {loader.FILE} for the flavour {flavour}")
    hint("`millpond up` brings it up, `millpond plan` shows beforehand what that does")
