"""Who opens an encrypted repository: its data key, encrypted with age for keys of people and platforms.

The data key is made with the repository and never changes. It stands in the repository, in ``key.age``, as an
age file (https://age-encryption.org/v1) for one or several recipients; so the rights to it change without the
data being written again. Who it is for stands inside, where the store cannot change it.

A person's or a platform's own keys are in a file as ``age-keygen`` writes it, which only its owner can read.
The first one is who new repositories are for; the others still open what was made for them.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millpond.lake.repository.objects import Objects
from millpond.lake.store import ConflictError
from millpond.model.errors import MillpondError

if TYPE_CHECKING:
    from pyrage.x25519 import Identity

OBJECT = "key.age"
KIND = "age, AES-256-GCM"
VARIABLE = "MILLPOND_LAKE_KEY_FILE"


class LockedError(MillpondError):
    """A repository is encrypted, and no key here opens it."""


@dataclass(frozen=True)
class DataKey:
    """What a repository's objects are encrypted with, and for whom; `version` is what a change expects."""

    secret: bytes
    recipients: tuple[str, ...]
    version: str = ""

    def __repr__(self) -> str:
        return f"DataKey(for {', '.join(self.recipients)})"


class KeyFile:
    """The keys of whoever runs this: the file that the environment names, or the user's own.

    Args:
        environment: in place of the process's.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        names = os.environ if environment is None else environment
        given = names.get(VARIABLE) or os.environ.get(VARIABLE)
        base = os.environ.get("XDG_CONFIG_HOME", "")
        folder = Path(base) if base.startswith("/") else Path.home() / ".config"
        self.path = Path(given).expanduser() if given else folder / "millpond" / "lake.key"

    def identities(self) -> list[Identity]:
        """The keys, the newest first; none where there is no file.

        Raises:
            MillpondError: others can read the file, or it has something else in it.
        """
        from pyrage import IdentityError, x25519

        try:
            others = self.path.stat().st_mode & 0o077
            lines = self.path.read_text().splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is no text"
            raise MillpondError(f"the key file {self.path} cannot be read: {reason}") from None
        if others:
            raise MillpondError(f"others can read the key file {self.path}", hint=f"chmod 600 {self.path}")
        found = []
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            try:
                found.append(x25519.Identity.from_str(line.strip()))
            except IdentityError:
                raise MillpondError(
                    f"line {number} of the key file {self.path} is no key of age",
                    hint="it begins with AGE-SECRET-KEY-1; lines with # are remarks",
                ) from None
        return found

    def own(self) -> str:
        """The public key of the first one; the file is made where there is none."""
        found = self.identities()
        return str(found[0].to_public()) if found else self.renew()

    def renew(self) -> str:
        """Make a new key and put it first; returns its public one."""
        from pyrage import x25519

        before = self.path.read_text() if self.identities() else ""
        made = x25519.Identity.generate()
        public = str(made.to_public())
        when = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self.path.with_name(f".{self.path.name}.{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(f"# created: {when}\n# public key: {public}\n{made}\n{before}")
        draft.replace(self.path)
        return public


def begin(objects: Objects, keys: KeyFile) -> None:
    """Make the data key of a new repository, for the file's first key; one that is there stays."""
    if objects.read_version(OBJECT) is None:
        objects.create(OBJECT, _closed(DataKey(secrets.token_bytes(32), (keys.own(),))))


def opened(objects: Objects, name: str, keys: KeyFile) -> DataKey:
    """The data key of a repository.

    Raises:
        LockedError: no key here opens it.
    """
    import pyrage

    found = objects.read_version(OBJECT)
    if found is None:
        raise LockedError(f"{name} is encrypted, and its key {OBJECT} is gone from {objects.uri}")
    identities = keys.identities()
    if not identities:
        raise LockedError(
            f"{name} is encrypted, and there is no key in {keys.path}",
            hint=f"{VARIABLE} names another key file",
        )
    try:
        text = json.loads(pyrage.decrypt(found[0], identities))
        return DataKey(base64.b64decode(text["key"]), tuple(text["recipients"]), found[1])
    except pyrage.DecryptError:
        own = identities[0].to_public()
        raise LockedError(
            f"no key in {keys.path} opens {name}",
            hint=f"who can open it lets yours in: millpond repo key {name} --add {own}",
        ) from None


def rewrite(objects: Objects, key: DataKey, recipients: tuple[str, ...]) -> None:
    """Encrypt the data key for others.

    Raises:
        MillpondError: one is no public key, none is left, or somebody else changed it meanwhile.
    """
    if not recipients:
        raise MillpondError("nobody could open it any more", hint="--add another key first")
    try:
        objects.swap(OBJECT, _closed(DataKey(key.secret, recipients)), key.version)
    except ConflictError:
        raise MillpondError(
            f"somebody else changes who opens {objects.uri}", hint="look again, and repeat"
        ) from None


def _closed(key: DataKey) -> bytes:
    import pyrage

    given: list[Any] = []
    for recipient in key.recipients:
        try:
            given.append(pyrage.x25519.Recipient.from_str(recipient))
        except pyrage.RecipientError:
            raise MillpondError(
                f"{recipient} is no public key of age", hint="it begins with age1; `age-keygen -y` prints it"
            ) from None
    text = {"key": base64.b64encode(key.secret).decode(), "recipients": list(key.recipients)}
    return bytes(pyrage.encrypt(json.dumps(text).encode(), given, armored=True))
