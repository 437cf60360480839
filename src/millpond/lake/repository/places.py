"""Where the repositories of a lake are, and which there are."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from millpond.lake.repository.cache import Cache
from millpond.lake.repository.keys import KeyFile
from millpond.lake.repository.objects import AbsentError, Objects, open_objects
from millpond.lake.repository.repository import DESCRIPTION, Repository
from millpond.model.errors import MillpondError, did_you_mean

BUCKET = "repositories"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def check_repository(name: str) -> str:
    """A name that a repository can have.

    Raises:
        MillpondError: it cannot.
    """
    if not _NAME.fullmatch(name) or name.endswith((".", "-")):
        raise MillpondError(
            f"{name!r} cannot be a repository's name", hint="small letters, digits and . _ - between them"
        )
    return name


def _place(environment: Mapping[str, str] | None) -> tuple[str, str]:
    names = os.environ if environment is None else environment
    bucket, _, prefix = names.get("MILLPOND_REPOSITORIES", BUCKET).strip("/").partition("/")
    return bucket, f"{prefix}/" if prefix else ""


def repositories(environment: Mapping[str, str] | None = None) -> list[str]:
    """The names of all repositories, sorted."""
    objects = open_objects(*_place(environment), environment)
    try:
        # Some stores list a folder for a while after the last object in it has gone.
        return [
            name
            for name in objects.folders()
            if _NAME.fullmatch(name) and objects.read_version(f"{name}/{DESCRIPTION}") is not None
        ]
    except AbsentError:
        return []


def create(name: str, environment: Mapping[str, str] | None = None, *, encrypt: bool = False) -> Repository:
    """Make a repository.

    Args:
        encrypt: for the user's own key, which is made where there is none (`millpond.lake.repository.keys`).

    Raises:
        MillpondError: there is one of this name, or it cannot be a name.
    """
    check_repository(name)
    bucket, prefix = _place(environment)
    objects = open_objects(bucket, f"{prefix}{name}/", environment)
    keys = KeyFile(environment)
    try:
        return Repository.create(name, objects, encrypt=encrypt, keys=keys)
    except AbsentError:
        objects = open_objects(bucket, f"{prefix}{name}/", environment, make=True)
        return Repository.create(name, objects, encrypt=encrypt, keys=keys)


def find(
    name: str, environment: Mapping[str, str] | None = None, *, cache: Cache | None = None
) -> Repository:
    """Open a repository.

    Raises:
        MillpondError: there is none of this name.
    """
    check_repository(name)
    bucket, prefix = _place(environment)
    objects = open_objects(bucket, f"{prefix}{name}/", environment)
    try:
        return Repository(name, objects, cache=cache, keys=KeyFile(environment))
    except AbsentError:
        raise _absent(name, environment) from None


def plain_objects(name: str, environment: Mapping[str, str] | None = None) -> Objects:
    """A repository's objects as the store has them, encrypted or not; it takes no key to ask for them.

    Raises:
        MillpondError: there is none of this name.
    """
    check_repository(name)
    bucket, prefix = _place(environment)
    objects = open_objects(bucket, f"{prefix}{name}/", environment)
    if objects.read_version(DESCRIPTION) is None:
        raise _absent(name, environment)
    return objects


def _absent(name: str, environment: Mapping[str, str] | None) -> MillpondError:
    known = repositories(environment)
    hint = did_you_mean(name, known) if known else f"`millpond repo create {name}` makes it"
    return MillpondError(f"there is no repository {name}", hint=hint)


def delete(name: str, environment: Mapping[str, str] | None = None) -> int:
    """Delete a repository with all its commits; returns how many objects went.

    Raises:
        MillpondError: there is none of this name.
    """
    objects = plain_objects(name, environment)
    # Its description goes first, so that nobody finds half of it.
    keys = sorted((item.key for item in objects.below()), key=lambda key: key != DESCRIPTION)
    objects.delete(keys)
    return len(keys)
