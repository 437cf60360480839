"""Values that the user keeps outside the flavour's file: in an environment variable or a file."""

from __future__ import annotations

import os
from pathlib import Path

from millpond.model.errors import MillpondError
from millpond.model.value import Elsewhere


class MissingValueError(MillpondError):
    """A value that the user keeps elsewhere is not there."""


def elsewhere(atom: Elsewhere) -> str:
    """A value that the user keeps in an environment variable or a file.

    Raises:
        MissingValueError: it is not there.
    """
    if atom.env is not None:
        found = os.environ.get(atom.env)
        if found is None:
            raise MissingValueError(
                f"the flavour takes a value from the environment variable {atom.env}, which is not set",
                hint=f"set it: export {atom.env}=…",
            )
        return found
    path = Path(atom.file or "").expanduser()
    try:
        return path.read_text().strip()
    except OSError as error:
        raise MissingValueError(
            f"the flavour takes a value from the file {path}, which cannot be read: {error.strerror}"
        ) from None
